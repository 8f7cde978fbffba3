#include "edgernn_kernels.h"
#include "edgernn_math.h"

void edgernn_fully_connected_general_s8(const edgernn_fully_connected_general_t *fc,
                                        const int8_t *x, int8_t *y) {
  for (int32_t batch = 0; batch < fc->batches; batch++) {
    const int8_t *w = fc->weights;
    for (int32_t row = 0; row < fc->rows; row++) {
      const int32_t i = row * fc->step;
      int64_t sum = fc->bias[row];
      for (int32_t column = 0; column < fc->columns; column++) {
        sum += (int64_t)(*w++ + fc->weight_zero_point) * (x[column] + fc->input_zero_point);
      }
      const int shift = fc->shift[i];
      const int32_t scaled =
          fc->narrow ? edgernn_rescale((int32_t)(uint32_t)(uint64_t)sum, fc->multiplier[i],
                                       shift > 0 ? shift : 0, shift > 0 ? 0 : -shift)
                     : edgernn_rescale_wide(sum, fc->multiplier[i], 15 - shift);
      *y++ = (int8_t)edgernn_clamp(scaled + fc->zero_point, INT8_MIN, INT8_MAX);
    }
    x += fc->columns;
  }
}
