/* What a sensor's channels go through; edgernn/frontends/stages.py says how. */
#ifndef EDGERNN_SENSOR_H
#define EDGERNN_SENSOR_H

#include <stdint.h>

/* Largest value, so that a filter's five products fit into 64 bits. */
#define EDGERNN_SENSOR_LIMIT ((1 << 28) - 1)

static inline int32_t edgernn_sensor_clamp(int64_t x) {
  return (int32_t)(x > EDGERNN_SENSOR_LIMIT    ? EDGERNN_SENSOR_LIMIT
                   : x < -EDGERNN_SENSOR_LIMIT ? -EDGERNN_SENSOR_LIMIT
                                               : x);
}

/* Square root of a number below 2^62, rounded down. */
int32_t edgernn_square_root(uint64_t x);

/* x[i] = (x[i] * gain[i] + offset[i]) >> 24 */
void edgernn_standardise(const int32_t *gain, const int64_t *offset, int32_t count, int32_t *x);

/* A filter of second order; coefficients have 30 bits behind the point, b2 is b0. */
typedef struct {
  int32_t b0;
  int64_t b1;
  int64_t a1;
  int32_t a2;
  int32_t c1; /* of the last two remainders */
  int32_t c2;
} edgernn_filter_t;

typedef struct {
  int32_t x1, x2, y1, y2; /* earlier inputs and outputs */
  int32_t e1, e2;         /* what rounding cut off */
} edgernn_filter_state_t;

void edgernn_filter(const edgernn_filter_t *f, edgernn_filter_state_t *states, int32_t count,
                    int32_t *x);

/* The length of the vector of some channels. */
int32_t edgernn_magnitude(const uint8_t *channels, int32_t count, const int32_t *x);

/* x - last, 0 the first time. */
void edgernn_difference(int32_t *last, uint8_t *known, int32_t count, int32_t *x);

enum {
  EDGERNN_MEAN,
  EDGERNN_STD,
  EDGERNN_MIN,
  EDGERNN_MAX,
  EDGERNN_RANGE,
  EDGERNN_RMS,
  EDGERNN_ZERO_CROSSINGS
};

typedef struct {
  const uint8_t *statistics;
  int32_t count; /* of the statistics */
  int32_t channels;
  int32_t window;
  int32_t hop;
  int32_t one; /* what stands for 1 */
} edgernn_statistics_t;

typedef struct {
  int32_t oldest;
  int32_t missing; /* samples until the next row */
} edgernn_statistics_state_t;

/* `ring` holds the window, window x channels values. Returns whether a row is complete. */
int edgernn_statistics(const edgernn_statistics_t *s, edgernn_statistics_state_t *state,
                       int32_t *ring, const int32_t *x, int32_t *row);

#endif
