#include "edgernn_dot_dsp.h"
#include "edgernn_kernels.h"
#include "edgernn_math.h"

static inline int8_t requantize(const edgernn_fully_connected_t *fc, int32_t sum, int32_t m,
                                int shift) {
  const int32_t value = edgernn_mul_high(edgernn_shift_left(sum, 1), m);
  const int32_t scaled = edgernn_rounding_shift_by(value, shift) + fc->zero_point;
  return (int8_t)edgernn_clamp(scaled, fc->low, fc->high);
}

/* Activations were widened to 16 bits; weights as in edgernn_fully_connected_s16_dsp.c. */
void edgernn_fully_connected_s8_dsp(const edgernn_fully_connected_t *fc, const int16_t *x,
                                    int8_t *y) {
  const uint32_t *w = (const uint32_t *)(const void *)fc->weights;
  const int last = fc->rows - 4, step = fc->step;
  for (int row = 0;; row = edgernn_min(row + 4, last)) {
    const int32_t *const b = fc->bias + row;
    const int32_t *const m = fc->multiplier + row * step;
    const int8_t *const s = fc->shift + row * step;
    int32_t sums[4] = {b[0], b[1], b[2], b[3]};
    w = edgernn_dot4_dsp(w, x, fc->columns, sums);
    y[row + 0] = requantize(fc, sums[0], m[0], s[0]);
    y[row + 1] = requantize(fc, sums[1], m[step], s[step]);
    y[row + 2] = requantize(fc, sums[2], m[2 * step], s[2 * step]);
    y[row + 3] = requantize(fc, sums[3], m[3 * step], s[3 * step]);
    if (row == last) {
      return;
    }
  }
}
