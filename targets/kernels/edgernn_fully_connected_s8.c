#include "edgernn_dot.h"
#include "edgernn_kernels.h"
#include "edgernn_math.h"

static inline int8_t requantize(const edgernn_fully_connected_t *fc, int row, int32_t sum) {
  const int i = row * fc->step;
  const int32_t x = edgernn_mul_high(edgernn_shift_left(sum, 1), fc->multiplier[i]);
  const int32_t scaled = (((x + (x >> 31)) >> fc->shift[i]) + 1) >> 1;
  return (int8_t)edgernn_saturate_8(scaled + fc->zero_point);
}

/* Row-major weights, 32-bit accumulators below 2^30 in magnitude. */
void edgernn_fully_connected_s8(const edgernn_fully_connected_t *fc, const int8_t *x, int8_t *y) {
  const int rows = fc->rows, columns = fc->columns;
  const int8_t *w = fc->weights;
  for (int row = 0; row < rows; row += 2) {
    const int second = row + 1 < rows ? 1 : 0; /* an odd last row is computed twice */
    int32_t p = fc->bias[row], q = fc->bias[row + second];
    edgernn_dot_s8(w, w + second * columns, x, columns, &p, &q);
    y[row] = requantize(fc, row, p);
    y[row + second] = requantize(fc, row + second, q);
    w += 2 * columns;
  }
}
