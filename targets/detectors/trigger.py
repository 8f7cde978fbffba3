"""The trigger as C."""

from __future__ import annotations

from edgernn.detectors.trigger import Trigger
from targets.detectors.scores import scorer
from targets.stage import Stage


def generate(detector: Trigger, name: str, dtype: str, outputs: int) -> Stage:
    """Its part of the pipeline `name`, on predictions of `outputs` raw values of a type."""
    labels, window = len(detector.labels), detector.smoothing
    rows = ",\n  ".join(
        f"{{{x.output}, {x.threshold}, {x.release}, {x.minimum}, {x.refractory}}} /* {x.name} */"
        for x in detector.labels
    )
    declarations = f"""\
/* Fires once when the score of a label rises. */
#define {name.upper()}_EVENTS_PER_PREDICTION {labels + 1}

typedef struct {{
  edgernn_trigger_state_t labels[{labels}];
  edgernn_trigger_common_t common;
  int32_t ring[{window * labels}];
  int32_t scores[{outputs}];
}} {name}_detector_t;"""
    definitions = f"""\
{scorer(detector.scorer)}

static const edgernn_trigger_label_t labels[{labels}] = {{
  {rows}
}};

static const edgernn_trigger_t trigger = {{labels, {labels}, {window}, {detector.pause}, \
{int(detector.both)}}};

static void detector_reset({name}_detector_t *d) {{
  edgernn_trigger_reset(&trigger, d->labels, &d->common, d->ring);
}}

static int32_t detector_push({name}_detector_t *d, const {dtype}_t *y, int64_t time_us,
                             edgernn_event_t *events) {{
  edgernn_scores_s{dtype[3:]}(&scorer, y, {outputs}, d->scores);
  return edgernn_trigger_push(&trigger, d->labels, &d->common, d->ring, d->scores, time_us, events);
}}"""
    files = ("edgernn_trigger.h", "edgernn_trigger.c", "edgernn_scores.h")
    ram = labels * 32 + 8 + 4 * (window * labels + outputs)
    return Stage((*files, f"edgernn_scores_s{dtype[3:]}.c"), declarations, definitions, ram)
