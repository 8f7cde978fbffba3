/* Samples with times of their own onto an even grid; see edgernn/frontends/resampling.py. */
#ifndef EDGERNN_RESAMPLER_H
#define EDGERNN_RESAMPLER_H

#include <stdint.h>

enum { EDGERNN_GAP_INTERPOLATE, EDGERNN_GAP_HOLD, EDGERNN_GAP_RESET };

typedef struct {
  int64_t period;  /* microseconds, with 8 bits behind the point */
  int64_t max_gap; /* microseconds */
  int32_t policy;
  int32_t channels;
} edgernn_grid_t;

typedef struct {
  int64_t from_us; /* of the last sample, and of the one being taken */
  int64_t to_us;
  int64_t next; /* of the grid, with 8 bits behind the point */
  uint32_t gaps;
  uint32_t missed;
  uint32_t late;
  uint32_t clock_jumps;
  uint8_t known;   /* whether there is a last sample */
  uint8_t taking;  /* whether points up to the new sample are left */
  uint8_t begins;  /* whether the grid begins with the new sample */
  uint8_t anew;    /* and not for the first time */
  uint8_t holding; /* whether the last sample is repeated up to the new one */
} edgernn_resampler_t;

void edgernn_resampler_reset(edgernn_resampler_t *r);

/* Takes the time of a new sample; its points are then fetched with `next`. */
void edgernn_resampler_take(const edgernn_grid_t *grid, edgernn_resampler_t *r, int64_t time_us);

/*
 * The next point of the grid between the last sample and the new one; returns 0 when there is none
 * left and `last` has become the new one.
 */
int edgernn_resampler_next(const edgernn_grid_t *grid, edgernn_resampler_t *r, int32_t *last,
                           const int32_t *sample, int32_t *point, int64_t *time_us);

#endif
