#include "edgernn_sensor.h"

#define SQUARED (1 << 25) /* values are clamped to this before they are squared */

typedef struct {
  int64_t sum;
  int32_t low;
  int32_t high;
  int32_t crossings;
} first_pass_t;

/* The i-th value of a channel's window, the oldest first. */
static int32_t value(const edgernn_statistics_t *s, const int32_t *ring, int32_t oldest,
                     int32_t channel, int32_t i) {
  const int32_t at = oldest + i < s->window ? oldest + i : oldest + i - s->window;
  return ring[at * s->channels + channel];
}

static first_pass_t first_pass(const edgernn_statistics_t *s, const int32_t *ring, int32_t oldest,
                               int32_t channel) {
  first_pass_t f = {0, INT32_MAX, INT32_MIN, 0};
  int negative = value(s, ring, oldest, channel, 0) < 0;
  for (int32_t i = 0; i < s->window; i++) {
    const int32_t x = value(s, ring, oldest, channel, i);
    f.sum += x;
    f.low = x < f.low ? x : f.low;
    f.high = x > f.high ? x : f.high;
    f.crossings += negative != (x < 0);
    negative = x < 0;
  }
  return f;
}

static int32_t mean(const edgernn_statistics_t *s, int64_t sum) {
  const int64_t total = sum + s->window / 2;
  const int64_t quotient = total / s->window;
  return (int32_t)(quotient - (total < quotient * s->window));
}

static int32_t spread(const edgernn_statistics_t *s, const int32_t *ring, int32_t channel,
                      int32_t around) {
  uint64_t sum = 0;
  for (int32_t i = 0; i < s->window; i++) {
    const int32_t apart = ring[i * s->channels + channel] - around;
    const int64_t x = apart > SQUARED ? SQUARED : apart < -SQUARED ? -SQUARED : apart;
    sum += (uint64_t)(x * x);
  }
  return edgernn_square_root(sum / (uint32_t)s->window);
}

static int32_t statistic(const edgernn_statistics_t *s, const int32_t *ring, int32_t channel,
                         const first_pass_t *f, int kind) {
  switch (kind) {
    case EDGERNN_MEAN:
      return mean(s, f->sum);
    case EDGERNN_STD:
      return spread(s, ring, channel, mean(s, f->sum));
    case EDGERNN_MIN:
      return f->low;
    case EDGERNN_MAX:
      return f->high;
    case EDGERNN_RANGE:
      return edgernn_sensor_clamp((int64_t)f->high - f->low);
    case EDGERNN_RMS:
      return spread(s, ring, channel, 0);
    default:
      return f->crossings * s->one;
  }
}

int edgernn_statistics(const edgernn_statistics_t *s, edgernn_statistics_state_t *state,
                       int32_t *ring, const int32_t *x, int32_t *row) {
  for (int32_t i = 0; i < s->channels; i++) {
    ring[state->oldest * s->channels + i] = x[i];
  }
  state->oldest = state->oldest + 1 < s->window ? state->oldest + 1 : 0;
  if (--state->missing > 0) {
    return 0;
  }
  state->missing = s->hop;
  for (int32_t channel = 0; channel < s->channels; channel++) {
    const first_pass_t f = first_pass(s, ring, state->oldest, channel);
    for (int32_t i = 0; i < s->count; i++) {
      *row++ = statistic(s, ring, channel, &f, s->statistics[i]);
    }
  }
  return 1;
}
