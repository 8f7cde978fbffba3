"""The audio front end as C."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgernn.frontends.audio import AudioFrontEnd
from targets import emit
from targets.ir import Buffer
from targets.stage import Stage

_FILES = """edgernn_audio.h edgernn_audio_take.c edgernn_audio_window.c edgernn_fft.c
edgernn_powers.c edgernn_mel.c edgernn_log2.c edgernn_log_table.c""".split()
_OUTPUTS = {
    "log-mel": ["edgernn_log_bands.c"],
    "mfcc": ["edgernn_log_bands.c", "edgernn_cepstrum.c"],
    "agc": ["edgernn_log_bands.c", "edgernn_agc.c"],
    "pcen": ["edgernn_pcen.c", "edgernn_power2.c", "edgernn_power_table.c"],
}


def generate(front_end: AudioFrontEnd, name: str) -> Stage:
    """Its part of the pipeline `name`."""
    bands, window, hop, size = front_end.bands, front_end.window, front_end.hop, front_end.size
    fields, call, constants = _output(front_end)
    agc = front_end.output == "agc"
    reset = f"\n  fe->level = {front_end.gain.least};" if agc else ""
    declarations = f"""\
/* Sound at {front_end.rate:,} samples a second: frames of {window}, one every {hop}. */
typedef struct {{
  int64_t taken; /* samples so far */
  int64_t energies[{bands}];
{"".join(f"  {line}{chr(10)}" for line in fields)}\
  int32_t z[{size}]; /* numbers of the FFT, then powers */
  int32_t at;
  int32_t due; /* samples until the next frame */
  int16_t ring[{window}];
}} {name}_front_end_t;"""
    spectrum, mel = front_end.spectrum, front_end.mel
    tables = "\n".join(
        [
            _table("hann", "int16", spectrum.window),
            _table("cosine", "int16", spectrum.real),
            _table("sine", "int16", spectrum.imaginary),
            _table("mel_weights", "uint16", mel.weights),
            _table("mel_lengths", "uint16", mel.lengths),
            *constants,
        ]
    )
    definitions = f"""\
{tables}
static const edgernn_audio_t audio = {{
  hann, cosine, sine, mel_weights, mel_lengths, {window}, {hop}, {size}, {bands}, {mel.start},
  {front_end.offset}, INT64_C({front_end.integer_floor})
}};

static void {name}_front_end_reset({name}_front_end_t *fe) {{
  fe->taken = 0;
  fe->at = 0;
  fe->due = {window};{reset}
}}

static int32_t {name}_front_end_push({name}_front_end_t *fe, const int16_t *samples,
                              const int64_t *times_us, int32_t count, int32_t *features,
                              int64_t *time_us, int *ready) {{
  (void)times_us; /* the samples themselves are the clock */
  const int32_t taken =
      edgernn_audio_take(&audio, fe->ring, &fe->at, &fe->due, samples, count);
  fe->taken += taken;
  *ready = fe->due == 0;
  if (*ready) {{
    fe->due = {hop};
    *time_us = fe->taken * 1000000 / {front_end.rate};
    edgernn_audio_window(&audio, fe->ring, fe->at, fe->z);
    edgernn_fft(&audio, fe->z);
    edgernn_powers(&audio, fe->z);
    edgernn_mel(&audio, fe->z, fe->energies);
    {call}
  }}
  return taken;
}}"""
    carried = {"pcen": 8 * bands, "agc": 8}.get(front_end.output, 0)
    ram = 24 + 8 * bands + 4 * size + 2 * window + carried
    return Stage((*_FILES, *_OUTPUTS[front_end.output]), declarations, definitions, ram)


def _output(front_end: AudioFrontEnd) -> tuple[list[str], str, list[str]]:
    """Fields of the struct, the last call, and its constants."""
    bands = front_end.bands
    if front_end.output == "pcen":
        p = front_end.normaliser
        values = (p.smoothing, p.gain, p.root, p.scale, p.bias, p.rest)
        constant = f"static const edgernn_pcen_t pcen = {{{', '.join(map(str, values))}}};"
        first = f"fe->taken == {front_end.window}"
        call = f"edgernn_pcen(&audio, &pcen, {first}, fe->energies, fe->smoothed, features);"
        return [f"int64_t smoothed[{bands}];"], call, [constant]
    if front_end.output == "agc":
        agc = front_end.gain
        table = _table("emphasis", "int16", agc.emphasis)
        numbers = f"{agc.range}, {agc.release}, {agc.least}"
        constant = f"static const edgernn_agc_t agc = {{emphasis, {numbers}}};"
        call = (
            "edgernn_log_bands(&audio, fe->energies, features);\n    "
            f"edgernn_agc(&agc, {bands}, &fe->level, features);"
        )
        return ["int32_t level; /* of the loudest band of late */"], call, [table, constant]
    if front_end.output == "mfcc":
        table = _table("dct", "int16", front_end.cepstrum.table.ravel())
        call = (
            "edgernn_log_bands(&audio, fe->energies, fe->z);\n    "
            f"edgernn_cepstrum(dct, {front_end.coefficients}, {bands}, fe->z, features);"
        )
        return [], call, [table]
    return [], "edgernn_log_bands(&audio, fe->energies, features);", []


def _table(name: str, dtype: str, values: Sequence[int] | Any) -> str:
    data = np.array(values, dtype)
    return "static " + emit.array(Buffer(name, dtype, len(data), "constant", "", data))
