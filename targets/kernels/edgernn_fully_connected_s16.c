#include "edgernn_dot.h"
#include "edgernn_kernels.h"
#include "edgernn_math.h"

/*
 * Row-major weights, 32-bit accumulators. The multiplier is scaled so that the result is the
 * upper half of the product.
 */
void edgernn_fully_connected_s16(const edgernn_fully_connected_t *fc, const int16_t *x,
                                 int16_t *y) {
  const int rows = fc->rows, columns = fc->columns, step = fc->step;
  const int8_t *w = fc->weights;
  const int32_t *m = fc->multiplier;
  for (int row = 0; row < rows; row += 2) {
    const int second = row + 1 < rows ? 1 : 0; /* an odd last row is computed twice */
    int32_t p = fc->bias[row], q = fc->bias[row + second];
    edgernn_dot_s16(w, w + second * columns, x, columns, &p, &q);
    p = edgernn_mul_high(p, m[row * step]);
    q = edgernn_mul_high(q, m[(row + second) * step]);
    y[row] = (int16_t)edgernn_clamp(p, fc->low, fc->high);
    y[row + second] = (int16_t)edgernn_clamp(q, fc->low, fc->high);
    w += 2 * columns;
  }
}
