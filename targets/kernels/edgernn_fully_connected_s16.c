#include "edgernn_dot.h"
#include "edgernn_kernels.h"
#include "edgernn_math.h"

static inline int16_t requantize(int32_t sum, int32_t m) {
  return (int16_t)edgernn_saturate_16(edgernn_mul_high(sum, m));
}

/* Row-major weights, 32-bit accumulators. */
void edgernn_fully_connected_s16(const edgernn_fully_connected_t *fc, const int16_t *x,
                                 int16_t *y) {
  const int rows = fc->rows, columns = fc->columns, step = fc->step;
  const int8_t *w = fc->weights;
  for (int row = 0; row < rows; row += 2) {
    const int second = row + 1 < rows ? 1 : 0; /* an odd last row is computed twice */
    int32_t p = fc->bias[row], q = fc->bias[row + second];
    edgernn_dot_s16(w, w + second * columns, x, columns, &p, &q);
    y[row] = requantize(p, fc->multiplier[row * step]);
    y[row + second] = requantize(q, fc->multiplier[(row + second) * step]);
    w += 2 * columns;
  }
}
