#include "edgernn_dot.h"
#include "edgernn_kernels.h"
#include "edgernn_math.h"

/* Row-major weights; `step` rows, a multiple of four, share a multiplier and a shift of any sign. */
void edgernn_fully_connected_s8_s16(const edgernn_fully_connected_t *fc, const int8_t *x,
                                    int16_t *y) {
  const int rows = fc->rows, columns = fc->columns, step = fc->step;
  const int32_t *multiplier = fc->multiplier;
  const int8_t *shift = fc->shift;
  for (int row = 0, end = step; row < rows; end += step) {
    const int left = edgernn_max(*shift, 0), right = edgernn_max(-*shift, 0);
    for (; row < end; row += 4) {
      int32_t sums[4];
      for (int k = 0; k < 4; k++) {
        sums[k] = fc->bias[row + k];
      }
      edgernn_dot_s8(fc->weights + row * columns, x, columns, sums);
      for (int k = 0; k < 4; k++) {
        const int32_t scaled = edgernn_rescale(sums[k], *multiplier, left, right);
        *y++ = (int16_t)edgernn_saturate_16(scaled);
      }
    }
    multiplier++;
    shift++;
  }
}
