#include "edgernn_trigger.h"

void edgernn_trigger_reset(const edgernn_trigger_t *t, edgernn_trigger_state_t *states,
                           edgernn_trigger_common_t *common, int32_t *ring) {
  common->oldest = 0;
  common->pause = 0;
  for (int32_t i = 0; i < t->count; i++) {
    const edgernn_trigger_state_t first = {0, 0, 0, 0, 0, 1, 0, 0};
    states[i] = first;
  }
  for (int32_t i = 0; i < t->smoothing * t->count; i++) {
    ring[i] = 0;
  }
}

static edgernn_event_t event(const edgernn_trigger_t *t, int32_t label, int32_t sum,
                             int64_t start_us, int64_t end_us, int32_t phase) {
  edgernn_event_t e;
  e.label = t->labels[label].output;
  e.score = (sum + t->smoothing / 2) / t->smoothing;
  e.start_us = start_us;
  e.end_us = end_us;
  e.phase = phase;
  return e;
}

/* Counts what is at or above the release; returns whether the label could fire. */
static int rise(const edgernn_trigger_label_t *label, edgernn_trigger_state_t *s,
                int64_t time_us) {
  if (!s->rising) {
    s->rising = 1;
    s->rise_us = time_us;
    s->peak = s->sum;
  }
  s->peak = s->sum > s->peak ? s->sum : s->peak;
  s->above = s->sum < label->threshold ? 0 : s->above + (s->above < label->minimum);
  return s->armed && s->above >= label->minimum && s->quiet == 0;
}

int32_t edgernn_trigger_push(const edgernn_trigger_t *t, edgernn_trigger_state_t *states,
                             edgernn_trigger_common_t *common, int32_t *ring,
                             const int32_t *scores, int64_t time_us, edgernn_event_t *events) {
  int32_t written = 0;
  int32_t best = -1;
  int32_t *const oldest = ring + common->oldest * t->count;
  common->oldest = common->oldest + 1 < t->smoothing ? common->oldest + 1 : 0;
  common->pause -= common->pause > 0;
  for (int32_t i = 0; i < t->count; i++) {
    edgernn_trigger_state_t *const s = &states[i];
    const int32_t score = scores[t->labels[i].output];
    s->sum += score - oldest[i];
    oldest[i] = score;
    s->quiet -= s->quiet > 0;
    if (s->sum < t->labels[i].release) {
      if (s->active && t->both) {
        events[written++] = event(t, i, s->peak, s->rise_us, time_us, 0);
      }
      s->above = 0;
      s->armed = 1;
      s->rising = 0;
      s->active = 0;
    } else if (rise(&t->labels[i], s, time_us) && common->pause == 0 &&
               (best < 0 || s->sum > states[best].sum)) {
      best = i;
    }
  }
  if (best >= 0) {
    edgernn_trigger_state_t *const s = &states[best];
    events[written++] = event(t, best, s->sum, s->rise_us, time_us, 1);
    s->armed = 0;
    s->active = 1;
    s->quiet = t->labels[best].refractory;
    common->pause = t->pause;
  }
  return written;
}
