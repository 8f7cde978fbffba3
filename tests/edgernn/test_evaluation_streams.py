"""Long streams: what is in them, where, how loud, and that any part can be made again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgernn.errors import InputError
from edgernn.evaluation import noise
from edgernn.evaluation.streams import LongStream, Scene
from edgernn.labelled import Labelled, Span
from tests.edgernn.tones import PITCHES, RATE, tone, tones

SCENE = Scene(hours=0.1)


def test_the_same_seed_is_the_same_stream_and_any_section_can_be_made_again():
    stream = LongStream(tones(), SCENE, ["a"])
    sections = list(stream)
    assert len(sections) == len(stream) == 6
    again = LongStream(tones(), SCENE, ["a"])
    for index in (5, 0, 3):
        made = again.section(index)
        np.testing.assert_array_equal(made.samples, sections[index].samples)
        assert made.spans == sections[index].spans
    for other in (
        LongStream(tones(), replace(SCENE, seed=1), ["a"]),
        LongStream(tones(), SCENE, ["a"], number=1),
    ):
        assert not np.array_equal(other.section(0).samples, sections[0].samples)


def test_hours_are_kept_to_the_sample_and_long_streams_cost_nothing_to_begin():
    stream = LongStream(tones(), Scene(hours=6))
    assert stream.seconds == 6 * 3600
    assert len(stream.section(359).samples) == 60 * RATE
    odd = LongStream(tones(), Scene(hours=100 / 3600))
    assert [len(s.samples) for s in odd] == [60 * RATE, 40 * RATE]


def test_words_are_where_the_spans_say_with_pauses_between():
    scene = replace(SCENE, backgrounds=("silence",), talk=1.0, pause=(0.4, 0.9))
    clips = {clip.label: clip for clip in tones(("x",), 1)}
    stream = LongStream(list(clips.values()), scene)
    last, total = 0.0, 0
    for index, section in enumerate(stream):
        for span in section.spans:
            start = round((span.start - index * 60) * RATE)
            clip = clips[span.label]
            assert span.end - span.start == pytest.approx(clip.seconds)
            found = section.samples[start : start + len(clip.samples)].astype(int)
            assert np.abs(found - clip.samples).max() < 20
            if span is not section.spans[0]:
                assert 0.4 - 1e-3 <= span.start - last <= 0.9 + 1e-3
            last = span.end
        total += len(section.spans)
        # Nothing is said up to the end, so that an event can still come.
        assert section.spans[-1].end <= (index + 1) * 60 - 0.9 + 1e-3
    # A word and a pause take 0.85 s on average.
    assert total == pytest.approx(6 * 60 / 0.85, rel=0.1)


def test_some_sections_are_background_alone():
    stream = LongStream(tones(), Scene(hours=2, talk=0.5, backgrounds=("silence",)))
    talking = [bool(stream.section(i).spans) for i in range(len(stream))]
    assert 0.35 < np.mean(talking) < 0.65


@pytest.mark.parametrize("background", ["white", "pink", "babble", "street"])
def test_the_background_has_the_stated_power(background):
    given = [tone("a", 0.5, 3000), tone("b", 0.3, 1500)]
    street = Labelled("street", np.arange(-900, 900, dtype=np.int16), RATE, "background")
    kinds = () if background == "street" else (background,)
    recordings = [street] if background == "street" else []
    samples = np.concatenate([clip.samples for clip in given]).astype(float)
    for snr in (0.0, 15.0):
        scene = Scene(0.1, snr, talk=0.0, backgrounds=kinds)
        stream = LongStream(given, scene, ["a"], recordings)
        power = np.mean([np.mean(np.square(s.samples.astype(float))) for s in stream])
        assert 10 * np.log10(np.mean(samples**2) / power) == pytest.approx(snr, abs=0.3)
        assert stream.section(0).background == background


def test_babble_never_says_the_keyword():
    def power_at(samples, pitch):
        spectrum = np.abs(np.fft.rfft(samples.astype(float))) ** 2
        at = round(pitch * len(samples) / RATE)
        return spectrum[at - 40 : at + 40].sum() / spectrum.sum()

    scene = Scene(0.1, 0.0, talk=0.0, backgrounds=("babble",))
    clips = [tone(label, group="x") for label in "abcd"]
    section = LongStream(clips, scene, ["c"]).section(0).samples
    assert power_at(section, PITCHES["c"]) < 1e-3
    assert power_at(section, PITCHES["b"]) > 0.1
    # Where every clip is a keyword, it is made of them all the same, backwards.
    every = LongStream(clips, scene, list("abcd")).section(0).samples
    assert power_at(every, PITCHES["c"]) > 0.1


def test_pink_noise_loses_half_its_power_with_every_octave():
    random = np.random.default_rng(0)
    spectrum = np.abs(np.fft.rfft(noise.pink(random, 1 << 18))) ** 2
    octaves = [spectrum[1 << i : 2 << i].mean() for i in range(6, 16)]
    np.testing.assert_allclose(np.diff(np.log2(octaves)), -1, atol=0.35)
    white = noise.white(random, 1 << 16)
    assert np.mean(white**2) == pytest.approx(1, rel=0.05)


def test_spans_inside_of_clips_are_kept():
    clip = replace(tone("a", 1.0), spans=(Span("a", 0.25, 0.5),))
    scene = Scene(0.02, talk=1.0, backgrounds=("silence",), pause=(1.0, 1.0))
    spans = LongStream([clip], scene).section(0).spans
    assert spans[0].start == pytest.approx(1.25, abs=1e-3)
    assert spans[0].end == pytest.approx(1.5, abs=1e-3)


def test_what_no_stream_can_be_made_of():
    with pytest.raises(InputError, match="no clips"):
        LongStream([], SCENE)
    with pytest.raises(InputError, match="a_x_0: a stream is made of sound at 8000 Hz"):
        LongStream([tone("b"), replace(tone("a"), rate=16000)], SCENE)
    with pytest.raises(InputError, match="not taken for a word"):
        LongStream([tone("a", 40)], SCENE)
    with pytest.raises(InputError, match="holds no samples"):
        LongStream([replace(tone("a"), samples=np.zeros(0, np.int16))], SCENE)
    with pytest.raises(InputError, match="the longest pause, 1 s, is shorter"):
        LongStream(tones(), replace(SCENE, pause=(3.0, 1.0)))
