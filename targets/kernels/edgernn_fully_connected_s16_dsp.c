#include "edgernn_dot_dsp.h"
#include "edgernn_kernels.h"
#include "edgernn_math.h"

static inline int16_t requantize(const edgernn_fully_connected_t *fc, int32_t sum, int32_t m) {
  return (int16_t)edgernn_clamp(edgernn_mul_high(sum, m), fc->low, fc->high);
}

/*
 * Blocks of 4 rows as in edgernn_dot_dsp.h; the last block ends with the last row, so it may
 * repeat rows of the block before. Columns are padded to a multiple of 4 with zero weights.
 */
void edgernn_fully_connected_s16_dsp(const edgernn_fully_connected_t *fc, const int16_t *x,
                                     int16_t *y) {
  const uint32_t *w = (const uint32_t *)(const void *)fc->weights;
  const int last = fc->rows - 4, step = fc->step;
  for (int row = 0;; row = edgernn_min(row + 4, last)) {
    const int32_t *const b = fc->bias + row;
    const int32_t *const m = fc->multiplier + row * step;
    int32_t sums[4] = {b[0], b[1], b[2], b[3]};
    w = edgernn_dot4_dsp(w, x, fc->columns, sums);
    y[row + 0] = requantize(fc, sums[0], m[0]);
    y[row + 1] = requantize(fc, sums[1], m[step]);
    y[row + 2] = requantize(fc, sums[2], m[2 * step]);
    y[row + 3] = requantize(fc, sums[3], m[3 * step]);
    if (row == last) {
      return;
    }
  }
}
