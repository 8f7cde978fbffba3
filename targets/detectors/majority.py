"""The majority vote as C."""

from __future__ import annotations

from edgernn.detectors.majority import Majority
from targets.detectors.scores import scorer
from targets.stage import Stage


def generate(detector: Majority, name: str, dtype: str, outputs: int) -> Stage:
    """Its part of the pipeline `name`, on predictions of `outputs` raw values of a type."""
    labels, window = len(detector.labels), detector.window
    ignored = ", ".join(str(int(i in detector.ignored)) for i in range(labels))
    declarations = f"""\
/* Tells when a label begins and ends to have most of the last {window} votes. */
#define {name.upper()}_EVENTS_PER_PREDICTION 2

typedef struct {{
  edgernn_majority_state_t vote;
  int32_t counts[{labels}];
  int32_t scores[{outputs}];
  uint8_t votes[{window}];
}} {name}_detector_t;"""
    definitions = f"""\
{scorer(detector.scorer)}

static const uint8_t ignored[{labels}] = {{{ignored}}};

static const edgernn_majority_t majority = {{ignored, {labels}, {window}, {detector.minimum}}};

static void detector_reset({name}_detector_t *d) {{
  edgernn_majority_reset(&majority, &d->vote, d->votes, d->counts);
}}

static int32_t detector_push({name}_detector_t *d, const {dtype}_t *y, int64_t time_us,
                             edgernn_event_t *events) {{
  edgernn_scores_s{dtype[3:]}(&scorer, y, {outputs}, d->scores);
  return edgernn_majority_push(&majority, &d->vote, d->votes, d->counts, d->scores, time_us,
                               events);
}}"""
    files = ("edgernn_majority.h", "edgernn_majority.c", "edgernn_scores.h")
    ram = 48 + 4 * (labels + outputs) + window
    return Stage((*files, f"edgernn_scores_s{dtype[3:]}.c"), declarations, definitions, ram)
