#include "edgernn_dot.h"
#include "edgernn_kernels.h"
#include "edgernn_math.h"

static inline int8_t requantize(const edgernn_fully_connected_t *fc, int row, int32_t sum) {
  const int i = row * fc->step;
  const int32_t x = edgernn_mul_high(edgernn_shift_left(sum, 1), fc->multiplier[i]);
  const int32_t scaled = (((x + (x >> 31)) >> fc->shift[i]) + 1) >> 1;
  return (int8_t)edgernn_saturate_8(scaled + fc->zero_point);
}

/* Row-major weights, at least four rows in memory; 32-bit accumulators below 2^30 in magnitude. */
void edgernn_fully_connected_s8(const edgernn_fully_connected_t *fc, const int8_t *x, int8_t *y) {
  const int rows = fc->rows, columns = fc->columns;
  for (int row = 0; row < rows; row += 4) {
    const int first = row + 4 > rows && rows > 4 ? rows - 4 : row; /* some rows twice, maybe */
    int32_t sums[4];
    for (int k = 0; k < 4; k++) {
      sums[k] = fc->bias[first + k];
    }
    edgernn_dot_s8(fc->weights + first * columns, x, columns, sums);
    for (int k = 0; k < 4 && first + k < rows; k++) {
      y[first + k] = requantize(fc, first + k, sums[k]);
    }
  }
}
