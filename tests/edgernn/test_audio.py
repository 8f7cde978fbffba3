"""The audio front end against float64 formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn import frontends
from edgernn.errors import InputError, StateError
from edgernn.frontends.agc import AGC
from edgernn.frontends.audio import OUTPUTS, PCEN, AudioFrontEnd
from edgernn.frontends.logarithm import log2, power2

SETTINGS = {
    "digits": {"rate": 8000, "window": 256, "hop": 80},
    "16 kHz": {},
    "long": {"rate": 16000, "window": 1024, "hop": 320, "bands": 64, "low": 60, "high": 7600},
    "short": {"rate": 8000, "window": 50, "hop": 50, "bands": 8, "low": 300},
    "narrow": {"rate": 16000, "window": 400, "hop": 160, "bands": 80, "low": 20},  # empty segments
}
SOME = settings(max_examples=40, deadline=None)


def speech_like(rate, seconds=1.0, level=3000.0, seed=0):
    """Harmonics with a moving pitch under a moving envelope, and some noise."""
    random = np.random.default_rng(seed)
    t = np.arange(int(rate * seconds)) / rate
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 3 * t)) / rate
    voice = sum(np.sin(h * phase) / h for h in range(1, 20))
    envelope = np.abs(np.sin(2 * np.pi * 2 * t)) ** 3
    return np.rint(level * envelope * voice + random.normal(0, level / 300, len(t))).astype(
        np.int16
    )


def band_energies(samples, front_end):
    """By np.fft, in float64; a sample of full scale is 1."""
    x, window, hop = samples / 32768.0, front_end.window, front_end.hop
    count = (len(x) - window) // hop + 1
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    frames = np.stack([x[i * hop : i * hop + window] * hann for i in range(count)])
    size = front_end.size
    power = np.abs(np.fft.rfft(frames, size)) ** 2

    def mel(f):
        return 2595 * np.log10(1 + f / 700)

    edges = np.linspace(mel(front_end.low), mel(front_end.highest), front_end.bands + 2)
    bins = mel(np.arange(size // 2 + 1) * front_end.rate / size)[:, np.newaxis]
    rise = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0, np.minimum(rise, fall))
    weights[[0, -1]] = 0
    return power @ weights


def float_features(samples, front_end):
    energies = band_energies(samples, front_end)
    if front_end.output == "pcen":
        p, smoothed, found = front_end.pcen, energies[0], []
        for energy in energies:
            smoothed = (1 - p["smoothing"]) * smoothed + p["smoothing"] * energy
            gained = energy / (smoothed + front_end.floor) ** p["gain"]
            found.append((gained + p["bias"]) ** p["root"] - p["bias"] ** p["root"])
        return np.array(found)
    logs = np.log(energies + front_end.floor)
    if front_end.output == "log-mel":
        return logs
    if front_end.output == "agc":
        return levelled(logs, front_end)
    n, k = np.arange(front_end.bands), np.arange(front_end.coefficients)[:, np.newaxis]
    basis = np.sqrt(2 / front_end.bands) * np.cos(np.pi * k * (n + 0.5) / front_end.bands)
    basis[0] /= np.sqrt(2)
    return logs @ basis.T


def levelled(logs, front_end):
    """A first difference's gain at the bands' centres, then each frame below the level."""
    g, decibel = front_end.agc, np.log(10) / 10
    low, high = (1127 * np.log(1 + f / 700) for f in (front_end.low, front_end.highest))
    steps = np.arange(1, front_end.bands + 1) / (front_end.bands + 1)
    centres = 700 * (np.exp((low + (high - low) * steps) / 1127) - 1)
    turn = 2 * np.pi * centres / front_end.rate
    lifted = logs + np.log(1 + g["emphasis"] ** 2 - 2 * g["emphasis"] * np.cos(turn))
    level, found = g["least"] * decibel, []
    for frame in lifted:
        level -= g["release"] * decibel / front_end.frame_rate
        level = max(level, g["least"] * decibel, frame.max())
        found.append(np.maximum(frame - level, -g["range"] * decibel))
    return np.array(found)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("name", SETTINGS)
def test_features(name, output):
    coefficients = min(13, SETTINGS[name].get("bands", 40))
    front_end = AudioFrontEnd(**SETTINGS[name], output=output, coefficients=coefficients)
    for level in (3000, 100):
        samples = speech_like(front_end.rate, level=level)
        got, expected = front_end.features(samples), float_features(samples, front_end)
        assert got.shape == expected.shape == (len(got), *front_end.frame_shape)
        assert np.abs(got - expected).mean() < 0.01


@pytest.mark.parametrize("name", SETTINGS)
def test_extremes(name):
    front_end = AudioFrontEnd(**SETTINGS[name])
    random, n = np.random.default_rng(0), front_end.rate
    signals = {
        "square": np.where(np.arange(n) // 10 % 2, 32767, -32768),
        "noise": random.integers(-32768, 32768, n),
        "dither": random.integers(-1, 2, n),
    }
    for signal in signals.values():
        samples = signal.astype(np.int16)
        error = np.abs(front_end.features(samples) - float_features(samples, front_end))
        energies = band_energies(samples, front_end)
        heard = energies > 1e-8 * energies.max(axis=1, keepdims=True)  # above the FFT's own noise
        assert heard.mean() > 0.3
        assert error[heard].mean() < 0.01
    silence = front_end.features(np.zeros(n, np.int16))
    np.testing.assert_allclose(silence, np.log(front_end.floor), atol=2e-3)


@SOME
@given(
    st.sampled_from(OUTPUTS),
    st.lists(st.integers(0, 4000), max_size=8),
    st.booleans(),
)
def test_any_split_gives_the_same_frames(output, cuts, through_blobs):
    front_end = AudioFrontEnd(rate=8000, window=200, hop=80, bands=20, output=output)
    samples = speech_like(8000, 0.5)
    expected = front_end.stream().push(samples)
    stream, parts = front_end.stream(), []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 4000], strict=True):
        parts.append(stream.push(samples[start:end]))
        if through_blobs:
            saved, stream = stream.save(), front_end.stream()
            stream.restore(saved)
    for name in ("features", "times"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(expected, name))


def test_times_are_those_of_the_last_sample():
    frames = AudioFrontEnd(rate=8000, window=256, hop=80).stream().push(np.zeros(500, np.int16))
    np.testing.assert_array_equal(frames.times, [32_000, 42_000, 52_000, 62_000])


def test_logarithms_and_powers():
    values = np.unique(np.concatenate([[1 << b, (1 << b) - 1, (1 << b) + 1] for b in range(1, 62)]))
    values = np.append(values, (1 << 63) - 1)
    np.testing.assert_allclose(log2(values) / 65536, np.log2(values.astype(float)), atol=2**-15)
    exponents = np.arange(-10 * 65536, 20 * 65536, 977)
    got = power2(exponents, 10) / 1024
    np.testing.assert_allclose(got, 2.0 ** (exponents / 65536), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": 2000}, "window 2000 is no whole number from 32 to 1024"),
        ({"window": 100.5}, "window is 100.5 and must be a whole number"),
        ({"hop": 500}, "hop 500 is longer than window 400"),
        ({"output": "plp"}, "'plp' is not one of log-mel, mfcc, pcen, agc"),
        ({"low": 9000}, "bands from 9000 to 8000 Hz"),
        ({"window": 64, "hop": 64}, "band .* is narrower than the FFT of 64"),
        ({"output": "mfcc", "coefficients": 41}, "41 coefficients of 40 bands"),
        ({"floor": 0}, "floor 0"),
        ({"output": "pcen", "pcen": {"power": 1}}, "no 'power'"),
        ({"output": "agc", "agc": {"attack": 1}}, "no 'attack'; its fields are emphasis, range"),
        ({"output": "agc", "agc": {"range": 0}}, "agc's range is 0 and must be 1 to 120"),
        ({"output": "agc", "agc": {"range": "22"}}, "agc's range is '22' and must be 1 to 120"),
        ({"output": "agc", "agc": {"emphasis": True}}, "agc's emphasis is True and must be 0 to 1"),
        ({"output": "agc", "floor": 0.01}, "the floor, -20 dB, is not below agc's least"),
        ({"agc": {"range": 22}}, "agc is given, and the output is 'log-mel'"),
        ({"output": "pcen", "pcen": {"gain": None}}, "pcen has no 'gain' of None"),
        ({"mels": 3}, "no field 'mels'; its fields are rate, window"),
    ],
)
def test_wrong_fields_are_named(options, words):
    with pytest.raises(InputError, match=words):
        frontends.read({"kind": "audio", **options})


def test_wrong_samples_and_states_are_refused():
    stream = AudioFrontEnd().stream()
    with pytest.raises(InputError, match="type float64; the front end takes int16"):
        stream.push(np.zeros(10))
    with pytest.raises(StateError, match="no saved state"):
        stream.restore(b"{}")
    with pytest.raises(StateError, match="no saved state"):
        stream.restore(b'[0, [], null, "loud"]')
    stream.restore(b"[0, [], null]")  # of a version without gain control


def test_configurations_come_back():
    for options in (
        {},
        {"output": "pcen", "pcen": {"gain": 0.8}},
        {"output": "mfcc"},
        {"output": "agc", "agc": {"range": 30}},
    ):
        front_end = AudioFrontEnd(**options)
        assert frontends.read(front_end.config()) == front_end
    assert AudioFrontEnd(output="pcen").pcen == PCEN
    assert AudioFrontEnd(output="agc").agc == AGC
    assert AudioFrontEnd().agc == AudioFrontEnd().pcen == {}


def test_agc_hears_the_near_and_the_far_alike():
    front_end = AudioFrontEnd(rate=8000, window=256, hop=160, bands=32, output="agc")
    near, far = (speech_like(8000, level=level) for level in (6000, 600))
    difference = np.abs(front_end.features(near) - front_end.features(far))
    assert difference[8:].mean() < 0.05  # as soon as there was a word
    plain = AudioFrontEnd(rate=8000, window=256, hop=160, bands=32)
    assert np.abs(plain.features(near) - plain.features(far)).mean() > 2.0
    silence = front_end.features(np.zeros(8000, np.int16))
    assert (silence == silence.min()).all()  # nothing is lifted out of silence
