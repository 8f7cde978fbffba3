"""The report: what is on the page, in its files, and what is refused."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from edgernn.errors import InputError
from edgernn.report import numbers, write_report
from edgernn.report.document import checked
from edgernn.report.headline import headline
from edgernn.report.sections import SECTIONS, sections
from tests.edgernn.reported import PROFILE, TRAINING, evaluation
from tests.edgernn.test_cli import run


class Page(HTMLParser):
    """Text by element, attributes, and the cells of every table."""

    VOID = ("meta", "link", "img", "source", "br", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.texts: dict[str, list[str]] = {}
        self.tables: dict[str, list[list[str]]] = {}
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")
        if tag == "tr":
            self.tables[self.texts["caption"][-1]].append([])
        if tag in ("td", "th"):
            self.tables[self.texts["caption"][-1]][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, "elements must be closed in their order"
        if tag == "caption":
            self.tables[self.texts["caption"][-1]] = []

    def handle_data(self, data):
        if self.open:
            self.texts[self.open[-1]][-1] += data
            if self.open[-1] in ("td", "th"):
                self.tables[self.texts["caption"][-1]][-1][-1] += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("report") / "out"
    page = write_report(place, evaluation(), profile=PROFILE, training=TRAINING)
    assert page == place / "index.html"
    return place


@pytest.fixture(scope="module")
def page(folder) -> Page:
    return Page((folder / "index.html").read_text("utf-8"))


@pytest.fixture(scope="module")
def facts(folder) -> dict:
    return json.loads((folder / "report.json").read_text("utf-8"))


def test_every_section_is_there(page, facts):
    keys = [section["key"] for section in facts["sections"]]
    assert len(keys) == len(SECTIONS) == 11
    assert [one["id"] for one in page.all("section")] == keys
    assert [one["href"] for one in page.all("a")] == [f"#{key}" for key in keys]


def test_numbers_of_the_page_are_those_of_the_json(page, facts):
    told = {
        table["caption"]: [list(table["columns"]), *table["rows"]]
        for section in facts["sections"]
        for table in section["tables"]
    }
    assert page.tables == told
    assert facts["headline"] in "".join(page.texts["p"])
    assert facts["evaluation"] == evaluation()
    assert facts["profile"] == PROFILE
    assert facts["training"] == TRAINING


def test_numbers_of_the_page_are_those_of_the_documents(page):
    def rows(caption):
        return {
            row[0]: [cell.replace("\xa0", " ") for cell in row[1:]] for row in page.tables[caption]
        }

    assert rows("Accuracy")["quantized, reset1"] == ["80.00 %", "–", "50"]
    assert rows("Accuracy")["quantized, reset0"] == ["78.00 %", "–", "50"]
    assert rows("Accuracy")["float, reset1"] == ["82.00 %", "–", "50"]
    assert rows("By group")["ann"] == ["70.0 %", "68.0 %", "72.0 %", "80.0 %"]
    assert rows("Each label")["up"] == ["75.0 %", "93.8 %", "20", "down (5)"]
    assert rows("Operating points")["false rejects"] == ["2.5 %"]
    assert rows("Operating points")["missed"] == ["5 of 200"]
    assert rows("Operating points")["delay, median"] == ["0.35 s"]
    assert rows("Alarms")["windows found"] == ["1 of 2"]
    assert rows("Windows")["1"][2:] == ["day 1, 02:00", "2 h"]
    assert rows("Windows")["2"][2] == "missed"
    assert rows("Errors")["quantized"] == ["1.50 °C", "2.50 °C", "25.0 %"]
    assert rows("Warm-up")["below 1 % from step"] == ["4"]
    assert rows("Drift")["highest"] == ["200", "0.500 %"]
    # Of the whole pipeline: 28,854 bytes of flash; 3,232 of RAM and the stack.
    assert rows("Memory")["flash, all"] == ["28,854", "2.8 %"]
    assert rows("Memory")["flash: front end and detector"][0] == "7,468"
    assert rows("Memory")["RAM, all"] == ["3,380", "2.6 %"]
    assert rows("A step")["instructions a step"] == ["52,038"]
    assert rows("By layer")["gru"] == ["23,099", "44.4 %"]
    assert rows("By layer")["front end, detector"] == ["27,459", "52.8 %"]
    assert rows("Training")["loss"] == ["2", "0.500"]


def test_the_page_needs_nothing_else(folder, page):
    text = (folder / "index.html").read_text("utf-8")
    assert not page.all("script")
    assert "url(" not in text
    assert "@import" not in text
    (policy,) = [m["content"] for m in page.all("meta") if m.get("http-equiv")]
    assert policy.startswith("default-src 'none'")
    for tag, attributes in page.tags:
        for name in ("src", "srcset", "href", "data", "poster", "action"):
            assert attributes.get(name, "data:").startswith(("data:", "#")), (tag, name)


def test_pictures_have_words_and_files(folder, page, facts):
    plots = [plot for section in facts["sections"] for plot in section["plots"]]
    assert [one["alt"] for one in page.all("img")] == [plot["alt"] for plot in plots]
    assert all(len(plot["alt"]) > 20 for plot in plots)
    for plot in plots:
        assert (folder / f"{plot['name']}.png").read_bytes().startswith(b"\x89PNG")
        svg = (folder / f"{plot['name']}.svg").read_text("utf-8")
        assert svg.startswith("<svg")
        assert "<script" not in svg
    assert {path.name for path in folder.iterdir()} == set(facts["files"])


def test_names_of_the_user_are_text(tmp_path):
    evil = "<script>alert('$x^{')</script>"
    document = evaluation()
    for part in ("drift", "warmup", "anomaly", "forecast", "frames"):
        del document[part]
    document["labels"] = [evil, "down", "left"]
    document["model"] = document["data"] = f"{evil}.tflite"
    keyword = document["events"]["keywords"].pop("up")
    document["events"]["keywords"][evil] = keyword
    document["clips"]["quantized"]["reset1"]["groups"] = {evil: 0.5, '" onerror="x': 0.6}
    document["traces"][0]["name"] = evil
    document["traces"][0]["labels"][0] = evil
    document["traces"][0]["events"][0]["label"] = evil
    costs = {**PROFILE, "instructions_by_layer": {evil: 24579}}
    made = write_report(tmp_path / "out", document, profile=costs)
    text = made.read_text("utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    page = Page(text)
    assert not [a for _, a in page.tags if any(name.startswith("on") for name in a)]
    assert page.texts["h1"] == [f"{evil}.tflite"]
    for path in made.parent.glob("*.svg"):
        assert "<script" not in path.read_text("utf-8")


def test_same_documents_same_files(tmp_path):
    document = {key: evaluation()[key] for key in ("format", "frames", "drift")}
    once, again = (write_report(tmp_path / name, document).parent for name in "ab")
    for path in once.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize(
    ("kept", "keys"),
    [
        ([], []),
        (["clips", "labels"], ["accuracy", "confusion"]),
        (["frames"], ["accuracy", "confusion"]),
        (["events"], ["events"]),
        (["anomaly"], ["anomalies"]),
        (["forecast"], ["forecast"]),
        (["traces"], ["traces"]),
        (["drift"], ["drift"]),
        (["warmup"], ["warmup"]),
    ],
)
def test_sections_without_data_are_left_out(kept, keys):
    document = {k: v for k, v in evaluation().items() if k in ("format", *kept)}
    made = checked(document)
    assert [section.key for section in sections(made)] == keys
    assert headline(made)


def test_null_and_nan_are_unknown_everywhere():
    def emptied(value):
        if isinstance(value, dict):
            return {key: emptied(item) for key, item in value.items()}
        return float("nan") if isinstance(value, float) else value

    for part in ("clips", "frames", "events", "anomaly", "forecast"):
        document = {"format": 1, part: emptied(evaluation()[part])}
        if part == "anomaly":
            document[part] = {"windows": [], "false_alarms": 0, "months": None}
        made = checked(document)
        sections(made)
        headline(made)
    for part in ("clips", "frames", "events", "anomaly", "forecast", "traces", "drift", "warmup"):
        assert not sections(checked({"format": 1, part: None}))


def test_headline_says_how_good_and_how_dear():
    document = evaluation()
    words = headline(checked(document, PROFILE)).replace("\xa0", " ")
    assert "misses 2.5 % of “up” at 0.500 false accepts an hour" in words
    assert "median answer 0.35 s after the word’s end" in words
    assert "80.0 % of 50 clips right (float: 82.0 %)" in words
    assert "88.0 % of 5,000 frames right (macro-F1 0.770, baseline: 80.0 %)" in words
    voted = {"format": 1, "frames": {"quantized": {"accuracy": 0.8}, "vote": {"accuracy": 0.6}}}
    assert "60.0" in headline(checked(voted))
    assert "1 of 2 anomalies with 1.50 false alarms a month" in words
    assert "forecasts 1 h ahead with a mean error of 1.50 °C" in words
    assert words.endswith(
        "takes 28.2 KiB of flash, 3.3 KiB of RAM and an estimated 4.0 % of the time of a cortex-m4 "
        "(netduinoplus2, 168 MHz)."
    )
    assert headline(checked({"format": 1})) == "There is nothing in this evaluation."
    assert headline(checked({"format": 1}, PROFILE)).startswith("It takes 28.2")


WRONG = [
    ({"format": 2}, "evaluation.format: 2, and this edgernn reads format 1"),
    ({}, "evaluation.format: None"),
    ({"task": "cooking"}, "'cooking' is none of clips, events"),
    ({"clips": []}, "evaluation.clips: [] is no object"),
    (
        {"clips": {"quantized": {"reset1": {"accuracy": 1.5}}}},
        "accuracy: 1.5 is not between 0 and 1",
    ),
    ({"clips": {"float": {"reset0": {"accuracy": "0.9"}}}}, "clips.float.reset0.accuracy: '0.9'"),
    ({"frames": {"float": {"groups": {"ann": 7}}}}, "evaluation.frames.float.groups.ann: 7"),
    ({"frames": {"float": {"confusion": [[1, 2]]}}}, "2 columns in a matrix of 1 rows"),
    (
        {"labels": ["a"], "frames": {"float": {"confusion": [[1, 0], [0, 1]]}}},
        "frames.float.confusion: 2 rows, and there are 1 labels",
    ),
    ({"labels": "abc"}, "evaluation.labels: 'abc' is no list"),
    ({"events": {"keywords": {"up": {"curve": [1]}}}}, "keywords.up.curve[0]: 1 is no object"),
    ({"events": {"keywords": {"up": {"delay": {"p95": True}}}}}, "delay.p95: True is no number"),
    ({"anomaly": {"windows": [{"start": 0, "end": 1}]}}, "windows[0]: 'found' is missing"),
    ({"drift": {"steps": [1, 2], "rms_percent": [0]}}, "equally many: 2 steps, 1 rms_percent"),
    ({"warmup": {"steps": [1]}}, "evaluation.warmup: 'difference_percent' is missing"),
    ({"forecast": {"mae": {"float": -1}}}, "forecast.mae.float: -1 is below 0"),
    ({"traces": [{"kind": "video"}]}, "'video' is neither 'audio' nor 'sensor'"),
    ({"traces": [{"scores": [[1], [1, 2]]}]}, "traces[0].scores[1]: 2 values, and 1 in the first"),
    ({"traces": [{"scores": [[]]}]}, "traces[0].scores[0]: no values"),
    ({"traces": [{"scores": [[1]], "score_times": []}]}, "equally many: 0 score_times, 1 scores"),
    ({"traces": [{"events": [{"label": "a"}]}]}, "traces[0].events[0]: 'start' is missing"),
]


@pytest.mark.parametrize(("changes", "says"), WRONG, ids=[says for _, says in WRONG])
def test_bad_documents_are_one_line(changes, says):
    document = changes if not changes or "format" in changes else {"format": 1, **changes}
    with pytest.raises(InputError, match=re.escape(says)) as error:
        checked(document)
    assert "\n" not in str(error.value)


def test_bad_profile_and_training_are_one_line():
    with pytest.raises(InputError, match="profile: 'flash' is missing"):
        checked({"format": 1}, {"target": "x"})
    with pytest.raises(InputError, match=r"profile.ram.stack: -1 is no whole number"):
        checked({"format": 1}, {**PROFILE, "ram": {"state": 1, "scratch": 1, "stack": -1}})
    with pytest.raises(InputError, match=r"training.loss\[1\]: 'x' is no number"):
        checked({"format": 1}, None, {"history": {"loss": [1.0, "x"]}})


def test_long_traces_keep_their_peaks_and_stay_small(tmp_path):
    scores = np.zeros((60_000, 1))
    scores[43_210] = 1.0
    trace = {"name": "long", "kind": "sensor", "labels": ["a"], "threshold": 0.5}
    trace |= {"score_times": list(range(60_000)), "scores": scores.tolist()}
    made = write_report(tmp_path / "out", {"format": 1, "traces": [trace]}).parent
    svg = (made / "trace-1.svg").read_text("utf-8")
    assert len(svg) < 300_000
    from edgernn.report.plots.traces import _thinned

    times, values = _thinned(np.arange(60_000), scores[:, 0])
    assert len(values) <= 2 * 1600 + 250
    assert times[values.argmax()] == 43_210


def test_a_report_replaces_a_report_and_nothing_else(tmp_path):
    document = {"format": 1, "drift": evaluation()["drift"]}
    place = tmp_path / "out"
    write_report(place, document)
    write_report(place, {"format": 1})
    assert sorted(path.name for path in place.iterdir()) == ["index.html", "report.json"]
    (place / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds 'notes.txt', which is of no report"):
        write_report(place, document)
    other = tmp_path / "file"
    other.write_text("x")
    with pytest.raises(InputError, match="is a file"):
        write_report(other, document)
    with pytest.raises(InputError, match="no such folder"):
        write_report(tmp_path / "none" / "out", document)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"], "nothing is left"


def test_nothing_is_left_of_a_report_that_could_not_be_moved(tmp_path, monkeypatch):
    document = {"format": 1, "model": "first"}
    place = tmp_path / "out"
    write_report(place, document)
    before = (place / "index.html").read_bytes()
    rename = Path.rename

    def broken(self, target):
        if ".new" in self.name:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(OSError, match="No space"):
        write_report(place, {"format": 1, "model": "second"})
    assert (place / "index.html").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("e.json").write_text(json.dumps({"format": 1, "drift": evaluation()["drift"]}))
    Path("p.json").write_text(json.dumps(PROFILE))
    Path("bad.json").write_text("{")
    Path("list.json").write_text("[]")
    assert run("report", "e.json", "--profile", "p.json", "-o", "out") == 0
    assert capsys.readouterr().out.strip() == str(Path("out/index.html"))
    facts = json.loads(Path("out/report.json").read_text())
    assert [section["key"] for section in facts["sections"]] == ["drift", "memory", "cost"]
    for arguments, says in (
        (["none.json", "-o", "x"], "none.json: cannot be read (no such file or directory)"),
        (["bad.json", "-o", "x"], "bad.json: is no JSON"),
        (["list.json", "-o", "x"], "list.json: holds no object"),
        (["e.json", "-o", "x", "--training", "list.json"], "list.json: holds no object"),
        (["e.json", "-o", "x", "--model", "m.tflite"], "--model and --target go together"),
        (["e.json", "-o", "x", "--profile", "p.json", "-t", "host"], "give either --profile"),
        (["e.json", "-o", "e.json"], "e.json: is a file"),
        (["e.json", "-o", "x", "--model", "m.tflite", "-t", "cortex-m4"], "m.tflite"),
    ):
        assert run("report", *arguments) == 2, arguments
        line = capsys.readouterr().err.strip().split("\n")[-1]
        assert line.startswith("edgernn: ")
        assert says in line
    assert not Path("x").exists()


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (numbers.percent(0.9999), "100.0 %"),
        (numbers.percent(None), "–"),
        (numbers.number(1234.5), "1,234"),
        (numbers.number(0.01234), "0.0123"),
        (numbers.number(0.0), "0"),
        (numbers.number(1e-9), "< 0.0001"),
        (numbers.size(1023), "1,023 bytes"),
        (numbers.size(21386), "20.9 KiB"),
        (numbers.duration(0.00019), "190 µs"),
        (numbers.duration(-0.06), "-60 ms"),
        (numbers.duration(0), "0 s"),
        (numbers.duration(5400), "1.5 h"),
        (numbers.duration(5 * 86400), "5 days"),
        (numbers.clock(62.46), "1:02.5"),
        (numbers.clock(59.96), "1:00.0"),
        (numbers.clock(3 * 86400 + 4 * 3600 + 5 * 60, True), "day 3, 04:05"),
        (numbers.shorten("abcdef", 4), "abc…"),
    ],
)
def test_numbers_as_text(made, wanted):
    assert made.replace("\xa0", " ") == wanted
