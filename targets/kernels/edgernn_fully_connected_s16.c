#include "edgernn_dot.h"
#include "edgernn_kernels.h"
#include "edgernn_math.h"

static inline int16_t requantize(int32_t sum, int32_t m) {
  return (int16_t)edgernn_saturate_16(edgernn_mul_high(sum, m));
}

/* Row-major weights, at least four rows in memory; 32-bit accumulators. */
void edgernn_fully_connected_s16(const edgernn_fully_connected_t *fc, const int16_t *x,
                                 int16_t *y) {
  const int rows = fc->rows, columns = fc->columns, step = fc->step;
  for (int row = 0; row < rows; row += 4) {
    const int first = row + 4 > rows && rows > 4 ? rows - 4 : row; /* some rows twice, maybe */
    int32_t sums[4];
    for (int k = 0; k < 4; k++) {
      sums[k] = fc->bias[first + k];
    }
    edgernn_dot_s16(fc->weights + first * columns, x, columns, sums);
    for (int k = 0; k < 4 && first + k < rows; k++) {
      y[first + k] = requantize(sums[k], fc->multiplier[(first + k) * step]);
    }
  }
}
