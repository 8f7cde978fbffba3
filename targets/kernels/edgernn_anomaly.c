#include "edgernn_anomaly.h"

void edgernn_anomaly_reset(const edgernn_anomaly_t *a, edgernn_anomaly_state_t *s,
                           int32_t *forecasts, int64_t *ring) {
  const edgernn_anomaly_state_t first = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  *s = first;
  for (int32_t i = 0; i < a->horizon * a->count; i++) {
    forecasts[i] = 0;
  }
  for (int32_t i = 0; i < a->smoothing; i++) {
    ring[i] = 0;
  }
}

static int64_t residual(const edgernn_anomaly_t *a, const int32_t *forecast,
                        const int32_t *frame) {
  int64_t sum = 0;
  int64_t largest = 0;
  for (int32_t i = 0; i < a->count; i++) {
    const int64_t d = (int64_t)frame[i] - forecast[i];
    const int64_t apart = d < 0 ? -d : d;
    sum += apart;
    largest = apart > largest ? apart : largest;
  }
  return a->maximum ? largest : sum;
}

/* The residual of a frame; its forecast makes room for the new prediction. */
static int64_t next(const edgernn_anomaly_t *a, edgernn_anomaly_state_t *s, int32_t *forecasts,
                    const int32_t *prediction, const int32_t *frame) {
  if (a->horizon == 0) {
    return residual(a, prediction, frame);
  }
  int32_t *const due = forecasts + s->forecast * a->count;
  const int64_t found = s->known < a->horizon ? 0 : residual(a, due, frame);
  for (int32_t i = 0; i < a->count; i++) {
    due[i] = prediction[i];
  }
  s->forecast = s->forecast + 1 < a->horizon ? s->forecast + 1 : 0;
  s->known += s->known < a->horizon;
  return found;
}

static int32_t tell(const edgernn_anomaly_t *a, int64_t sum, int64_t start_us, int64_t end_us,
                    int32_t phase, edgernn_event_t *event) {
  event->label = 0;
  event->score = (int32_t)(sum / a->many);
  event->start_us = start_us;
  event->end_us = end_us;
  event->phase = phase;
  return 1;
}

int32_t edgernn_anomaly_push(const edgernn_anomaly_t *a, edgernn_anomaly_state_t *s,
                             int32_t *forecasts, int64_t *ring, const int32_t *prediction,
                             const int32_t *frame, int64_t time_us, edgernn_event_t *events) {
  const int64_t apart = next(a, s, forecasts, prediction, frame);
  s->sum += apart - ring[s->oldest];
  ring[s->oldest] = apart;
  s->oldest = s->oldest + 1 < a->smoothing ? s->oldest + 1 : 0;
  if (s->sum >= a->threshold) {
    if (s->above == 0 && !s->active) {
      s->rise_us = time_us;
      s->peak = 0;
    }
    s->above += s->above < a->minimum;
  } else {
    s->above = 0;
  }
  if (s->sum >= a->release) {
    s->below = 0;
    s->last_us = time_us;
    s->peak = s->sum > s->peak ? s->sum : s->peak;
  } else {
    s->below += s->below < a->merge;
  }
  if (!s->active && s->above >= a->minimum) {
    s->active = 1;
    return tell(a, s->sum, s->rise_us, time_us, 1, events);
  }
  if (s->active && s->below >= a->merge) {
    s->active = 0;
    return tell(a, s->peak, s->rise_us, s->last_us, 0, events);
  }
  return 0;
}
