#include "edgernn_resampler.h"

#define JUMP INT64_C(60000000)
#define FINE 8
#define WEIGHT 15

void edgernn_resampler_reset(edgernn_resampler_t *r) {
  const edgernn_resampler_t first = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  *r = first;
}

static void begin(const edgernn_grid_t *grid, edgernn_resampler_t *r, int anew) {
  r->begins = 1;
  r->anew = (uint8_t)anew;
  r->next = r->to_us * (1 << FINE) + grid->period;
}

void edgernn_resampler_take(const edgernn_grid_t *grid, edgernn_resampler_t *r, int64_t time_us) {
  const int64_t apart = time_us - r->from_us;
  r->begins = 0;
  r->holding = 0;
  r->to_us = time_us;
  r->taking = 1;
  if (!r->known) {
    r->known = 1;
    begin(grid, r, 0);
  } else if (-grid->max_gap <= apart && apart <= 0) {
    r->late++;
    r->taking = 0;
  } else if (apart < 0 || (apart > JUMP && apart > grid->max_gap)) {
    r->clock_jumps++;
    begin(grid, r, 1);
  } else if (apart > grid->max_gap) {
    r->gaps++;
    const int64_t intervals = (apart * (1 << FINE) + grid->period / 2) / grid->period;
    r->missed += intervals > 1 ? (uint32_t)(intervals - 1) : 0;
    r->holding = grid->policy == EDGERNN_GAP_HOLD;
    if (grid->policy == EDGERNN_GAP_RESET) {
      begin(grid, r, 1);
    }
  }
}

static void copy(int32_t *to, const int32_t *from, int32_t count) {
  for (int32_t i = 0; i < count; i++) {
    to[i] = from[i];
  }
}

int edgernn_resampler_next(const edgernn_grid_t *grid, edgernn_resampler_t *r, int32_t *last,
                           const int32_t *sample, int32_t *point, int64_t *time_us) {
  if (!r->taking) {
    return 0;
  }
  if (r->begins) {
    r->begins = 0;
    r->taking = 0;
    r->from_us = r->to_us;
    *time_us = r->to_us;
    copy(point, sample, grid->channels);
    copy(last, sample, grid->channels);
    return r->anew ? 3 : 1;
  }
  const int64_t at = r->next >> FINE;
  if (at > r->to_us) {
    r->taking = 0;
    r->from_us = r->to_us;
    copy(last, sample, grid->channels);
    return 0;
  }
  const int64_t apart = r->to_us - r->from_us;
  int64_t weight = (at - r->from_us) * (1 << WEIGHT) / apart;
  if (r->holding && at < r->to_us) {
    weight = 0;
  }
  for (int32_t i = 0; i < grid->channels; i++) {
    const int64_t step = (int64_t)sample[i] - last[i];
    point[i] = last[i] + (int32_t)((step * weight + (1 << (WEIGHT - 1))) >> WEIGHT);
  }
  *time_us = at;
  r->next += grid->period;
  return 1;
}
