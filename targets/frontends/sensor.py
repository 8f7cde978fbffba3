"""The sensor front end as C: its resampler, and its stages one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from edgernn.frontends.resampling import POLICIES
from edgernn.frontends.sensor import SCALE_BITS, SensorFrontEnd
from edgernn.frontends.stages import (
    STATISTICS,
    Difference,
    Filter,
    Magnitude,
    Select,
    Standardise,
    Statistics,
)
from targets import emit
from targets.ir import Buffer
from targets.stage import Stage


@dataclass
class _Parts:
    """What the stages contribute: fields of the struct, tables, how to begin, what to do."""

    fields: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    begin: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    ram: int = 0


def generate(front_end: SensorFrontEnd, name: str) -> Stage:
    """Its part of the pipeline `name`."""
    parts = _Parts()
    for i, (stage, width) in enumerate(zip(front_end.made, front_end.widths, strict=False)):
        _WRITERS[type(stage)](parts, stage, i, width, front_end.fraction)
    channels, widest = front_end.channels, max(front_end.widths)
    grid = front_end.grid
    fields = "\n".join(f"  {line}" for line in parts.fields)
    declarations = f"""\
/* Samples of {channels} channel(s), in units of {front_end.sample_scale:.9g}, onto \
{front_end.rate:g} a second. */
typedef struct {{
  edgernn_resampler_t resampler;
  int64_t taken; /* samples without a time */
{fields + chr(10) if fields else ""}\
  int32_t last[{channels}];
  int32_t sample[{channels}];
  int32_t x[{widest}];
  int32_t row[{widest}];
  uint8_t broken; /* whether the next frame begins a new sequence */
}} {name}_front_end_t;"""
    tables = "\n".join(parts.tables)
    begin = "\n".join(f"  {line}" for line in parts.begin)
    lines = "\n".join(f"  {line}" for line in parts.lines)
    definitions = f"""\
static const edgernn_grid_t grid = {{INT64_C({grid.period}), INT64_C({grid.max_gap}), \
{POLICIES.index(grid.policy)}, {channels}}};
{tables}

/* The stages from their start. */
static void begin_stages({name}_front_end_t *fe) {{
{begin or "  (void)fe;"}
}}

static void {name}_front_end_reset({name}_front_end_t *fe) {{
  edgernn_resampler_reset(&fe->resampler);
  fe->taken = 0;
  fe->broken = 0;
  begin_stages(fe);
}}

/* A point of the grid, in fe->x, through the stages. Returns whether a frame is complete. */
static int stages({name}_front_end_t *fe) {{
{lines or "  (void)fe;"}
  return 1;
}}

static int32_t {name}_front_end_push({name}_front_end_t *fe, const int32_t *samples,
                              const int64_t *times_us, int32_t count, int32_t *features,
                              int64_t *time_us, int *ready) {{
  int32_t taken = 0;
  for (;;) {{
    int point;
    while ((point = edgernn_resampler_next(&grid, &fe->resampler, fe->last, fe->sample, fe->x,
                                           time_us)) != 0) {{
      if (point & 2) {{
        begin_stages(fe);
        fe->broken = 1;
      }}
      if (stages(fe)) {{
        for (int32_t i = 0; i < {front_end.widths[-1]}; i++) {{
          features[i] = fe->x[i];
        }}
        *ready = fe->broken ? 3 : 1;
        fe->broken = 0;
        return taken;
      }}
    }}
    if (taken == count) {{
      *ready = 0;
      return taken;
    }}
    for (int32_t i = 0; i < {channels}; i++) {{
      const int64_t scaled = (int64_t)samples[taken * {channels} + i] * INT64_C({front_end.gain});
      fe->sample[i] = edgernn_sensor_clamp((scaled + (1 << {SCALE_BITS - 1})) >> {SCALE_BITS});
    }}
    if (times_us != NULL) {{
      edgernn_resampler_take(&grid, &fe->resampler, times_us[taken]);
    }} else {{
      fe->taken++;
      fe->resampler.to_us = (fe->taken * grid.period) >> 8;
      fe->resampler.taking = 1;
      fe->resampler.begins = 1;
      fe->resampler.anew = 0;
    }}
    taken++;
  }}
}}"""
    files = {"edgernn_sensor.h", "edgernn_resampler.h", "edgernn_resampler.c", *parts.files}
    ram = 56 + 8 + 8 * channels + 8 * widest + parts.ram + 8
    return Stage(tuple(sorted(files)), declarations, definitions, ram)


def _standardise(p: _Parts, stage: Standardise, i: int, width: int, fraction: int) -> None:
    gains, offsets = stage.constants(fraction)
    p.tables += [_table(f"gain_{i}", "int32", gains), _table(f"offset_{i}", "int64", offsets)]
    p.lines.append(f"edgernn_standardise(gain_{i}, offset_{i}, {width}, fe->x);")
    p.files.add("edgernn_standardise.c")


def _filter(p: _Parts, stage: Filter, i: int, width: int, fraction: int) -> None:
    b0, b1, a1, a2 = stage.coefficients()
    c1, c2 = stage.feedback()
    p.fields.append(f"edgernn_filter_state_t filter_{i}[{width}];")
    p.tables.append(
        f"/* {stage.kind} at {stage.cutoff:g} Hz */\n"
        f"static const edgernn_filter_t filter_{i} = {{{b0}, INT64_C({b1}), INT64_C({a1}), {a2}, "
        f"{c1}, {c2}}};"
    )
    p.begin += [
        f"for (int32_t i = 0; i < {width}; i++) {{",
        "  const edgernn_filter_state_t first = {0, 0, 0, 0, 0, 0};",
        f"  fe->filter_{i}[i] = first;",
        "}",
    ]
    p.lines.append(f"edgernn_filter(&filter_{i}, fe->filter_{i}, {width}, fe->x);")
    p.files.add("edgernn_filter.c")
    p.ram += 24 * width


def _magnitude(p: _Parts, stage: Magnitude, i: int, width: int, fraction: int) -> None:
    p.tables.append(_table(f"channels_{i}", "uint8", stage.channels))
    at = 0 if stage.alone else width
    call = f"edgernn_magnitude(channels_{i}, {len(stage.channels)}, fe->x)"
    p.lines.append(f"fe->x[{at}] = {call};")
    p.files |= {"edgernn_magnitude.c", "edgernn_square_root.c"}


def _select(p: _Parts, stage: Select, i: int, width: int, fraction: int) -> None:
    count = len(stage.channels)
    p.lines += [f"fe->row[{to}] = fe->x[{source}];" for to, source in enumerate(stage.channels)]
    p.lines += _back(count)


def _difference(p: _Parts, stage: Difference, i: int, width: int, fraction: int) -> None:
    p.fields += [f"int32_t last_{i}[{width}];", f"uint8_t known_{i};"]
    p.begin.append(f"fe->known_{i} = 0;")
    p.lines.append(f"edgernn_difference(fe->last_{i}, &fe->known_{i}, {width}, fe->x);")
    p.files.add("edgernn_difference.c")
    p.ram += 4 * width + 4


def _statistics(p: _Parts, stage: Statistics, i: int, width: int, fraction: int) -> None:
    kinds = [STATISTICS.index(name) for name in stage.of_]
    p.fields += [
        f"edgernn_statistics_state_t statistics_{i};",
        f"int32_t ring_{i}[{stage.window * width}];",
    ]
    p.tables += [
        _table(f"kinds_{i}", "uint8", kinds),
        f"/* {', '.join(stage.of_)} */\n"
        f"static const edgernn_statistics_t statistics_{i} = {{kinds_{i}, {len(kinds)}, {width}, "
        f"{stage.window}, {stage.hop}, {1 << fraction}}};",
    ]
    p.begin += [
        f"fe->statistics_{i}.oldest = 0;",
        f"fe->statistics_{i}.missing = {stage.window};",
    ]
    arguments = f"&statistics_{i}, &fe->statistics_{i}, fe->ring_{i}, fe->x, fe->row"
    p.lines += [f"if (!edgernn_statistics({arguments})) {{", "  return 0;", "}"]
    p.lines += _back(width * len(kinds))
    p.files |= {"edgernn_statistics.c", "edgernn_square_root.c"}
    p.ram += 8 + 4 * stage.window * width


def _back(count: int) -> list[str]:
    return [f"for (int32_t i = 0; i < {count}; i++) {{", "  fe->x[i] = fe->row[i];", "}"]


def _table(name: str, dtype: str, values: Sequence[int]) -> str:
    import numpy as np

    data = np.array(values, dtype)
    return "static " + emit.array(Buffer(name, dtype, len(data), "constant", "", data))


_WRITERS: Final[dict[Any, Callable[[_Parts, Any, int, int, int], None]]] = {
    Standardise: _standardise,
    Filter: _filter,
    Magnitude: _magnitude,
    Select: _select,
    Difference: _difference,
    Statistics: _statistics,
}
