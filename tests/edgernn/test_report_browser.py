"""The report in a real browser: nothing is cut off or fetched, and every picture is there."""

from __future__ import annotations

import html
import json
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from edgernn.report import write_report
from tests.edgernn.reported import PROFILE, TRAINING, evaluation

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is missing; install with: apt-get install chromium"
)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking "
    "--disable-component-update --disable-sync --no-first-run --disable-dev-shm-usage"
).split()
WIDTHS = (1280, 768, 360)

# The page in frames of several widths; what is found in each is left as JSON in the document.
AROUND = """<!doctype html><body>{frames}<pre id="found"></pre><script>
onload = () => {{
  const found = [...document.querySelectorAll("iframe")].map(frame => {{
    const page = frame.contentDocument, root = page.documentElement;
    const images = [...page.images];
    const width = root.clientWidth, box = element => element.getBoundingClientRect();
    const seen = [...page.querySelectorAll("body *")].filter(e => e.getClientRects().length);
    return {{
      width: frame.clientWidth,
      overflow: root.scrollWidth - root.clientWidth,
      outside: seen.filter(e => !e.closest(".scroll") && box(e).right > width + 0.5)
        .map(e => e.outerHTML.slice(0, 80)),
      images: images.length,
      loaded: images.filter(i => i.complete && i.naturalWidth > 0).length,
      narrow: images.filter(i => i.currentSrc !== i.src).length,
      small: images.filter(i => box(i).width < 0.8 * Math.min(i.naturalWidth, 350)).length,
      fetched: frame.contentWindow.performance.getEntriesByType("resource").map(r => r.name),
      sections: page.querySelectorAll("section").length,
      height: root.scrollHeight,
    }};
  }});
  document.getElementById("found").textContent = JSON.stringify(found);
}};
</script></body>"""


class Listener:
    """A proxy that answers nothing and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(2)
                with suppress(OSError):
                    self.asked.append(connection.recv(4096).decode("latin-1").split("\r\n")[0])

    @property
    def of_the_page(self) -> list[str]:
        """Without what a browser asks its maker."""
        maker = re.compile(r"\b(google|gstatic|googleapis|gvt1)\.com")
        return [line for line in self.asked if not maker.search(line)]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


def looked_at(page: str, folder: Path, listener: Listener) -> list[dict]:
    """What a browser finds at each width."""
    frames = "".join(
        f'<iframe width="{w}" height="800" style="border:0" srcdoc="{html.escape(page)}"></iframe>'
        for w in WIDTHS
    )
    around = folder / "around.html"
    around.write_text(AROUND.format(frames=frames), "utf-8")
    profile = f"--user-data-dir={folder / 'profile'}"
    proxy = [f"--proxy-server=127.0.0.1:{listener.port}", "--proxy-bypass-list=<-loopback>"]
    command = [CHROMIUM, *FLAGS, profile, *proxy, "--window-size=1400,900", "--dump-dom"]
    made = subprocess.run(
        [*command, around.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    (found,) = re.findall(r'<pre id="found">(.*?)</pre>', made.stdout, re.DOTALL)
    return json.loads(html.unescape(found))


def test_the_page_at_three_widths(tmp_path, listener):
    document = evaluation()
    document["labels"] = ["up", "a_label_" + 40 * "long", "left"]
    document["data"] = "a/very/long/path/without/a/space/" + 30 * "recordings"
    page = write_report(tmp_path / "out", document, profile=PROFILE, training=TRAINING)
    plots = len(list(page.parent.glob("*.png")))
    found = looked_at(page.read_text("utf-8"), tmp_path, listener)
    assert [one["width"] for one in found] == list(WIDTHS)
    for one in found:
        assert one["overflow"] <= 0, one
        assert not one["outside"], one
        assert one["images"] == one["loaded"] == plots, one
        assert one["narrow"] == (plots if one["width"] <= 600 else 0), one
        assert one["small"] == 0, one
        assert one["sections"] == 11
        assert one["height"] > 3000
        assert one["fetched"] == []
    assert listener.of_the_page == []


def test_the_check_sees_what_it_is_for(tmp_path, listener):
    bad = (
        "<style>img { width: 10px }</style><div style='width:2000px'>x</div>"
        "<img src='http://report.invalid/x.png'>"
    )
    found = looked_at(bad, tmp_path, listener)
    assert all(one["overflow"] > 0 and one["outside"] for one in found)
    assert all(one["images"] == 1 and one["loaded"] == 0 for one in found)
    assert any("report.invalid" in line for line in listener.of_the_page)
