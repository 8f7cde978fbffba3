"""The anomaly detector as C."""

from __future__ import annotations

from collections.abc import Sequence

from edgernn.detectors.anomaly import Anomaly
from targets.stage import Stage


def generate(detector: Anomaly, name: str, dtype: str, outputs: int) -> Stage:
    """Its part of the pipeline `name`, on predictions of `outputs` raw values of a type."""
    held = max(1, detector.horizon) * outputs
    declarations = f"""\
/* Tells when frames are far from what the model said; a score of 1 is {detector.unit:.9g}. */
#define {name.upper()}_EVENTS_PER_PREDICTION 1

typedef struct {{
  edgernn_anomaly_state_t anomaly;
  int64_t ring[{detector.smoothing}];
  int32_t forecasts[{held}];
  int32_t prediction[{outputs}];
  int32_t frame[{outputs}];
}} {name}_detector_t;"""
    tables = "\n".join(
        f"static const int32_t {table}[{outputs}] = {{{_list(values)}}};"
        for table, values in (
            ("elements", detector.elements),
            ("frame_multiplier", detector.frame),
            ("prediction_multiplier", detector.prediction),
            ("prediction_offset", detector.offset),
        )
    )
    definitions = f"""\
{tables}

static const edgernn_anomaly_t anomaly = {{
  elements, frame_multiplier, prediction_multiplier, prediction_offset, {outputs}, \
{detector.horizon}, {int(detector.maximum)}, {detector.smoothing}, {detector.many},
  {detector.minimum}, {detector.merge}, INT64_C({detector.threshold}), INT64_C({detector.release})
}};

static void detector_reset({name}_detector_t *d) {{
  edgernn_anomaly_reset(&anomaly, &d->anomaly, d->forecasts, d->ring);
}}

static int32_t detector_push({name}_detector_t *d, const {dtype}_t *y, const {dtype}_t *x,
                             int64_t time_us, edgernn_event_t *events) {{
  edgernn_anomaly_common_s{dtype[3:]}(&anomaly, y, x, d->prediction, d->frame);
  return edgernn_anomaly_push(&anomaly, &d->anomaly, d->forecasts, d->ring, d->prediction, d->frame,
                              time_us, events);
}}"""
    files = ("edgernn_anomaly.h", "edgernn_anomaly.c", f"edgernn_anomaly_common_s{dtype[3:]}.c")
    ram = 56 + 8 * detector.smoothing + 4 * (held + 2 * outputs)
    return Stage(files, declarations, definitions, ram)


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
