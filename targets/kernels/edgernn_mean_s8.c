#include "edgernn_kernels.h"
#include "edgernn_math.h"

void edgernn_mean_s8(const edgernn_mean_t *mean, const int8_t *x, int8_t *y) {
  const int left = mean->shift > 0 ? mean->shift : 0, right = mean->shift > 0 ? 0 : -mean->shift;
  for (int32_t outer = 0; outer < mean->outer; outer++) {
    for (int32_t inner = 0; inner < mean->inner; inner++) {
      int32_t sum = mean->bias;
      for (int32_t i = 0; i < mean->count; i++) {
        sum += x[i * mean->inner + inner];
      }
      const int32_t value = edgernn_rescale(sum, mean->multiplier, left, right);
      *y++ = (int8_t)edgernn_clamp(value + mean->zero_point, INT8_MIN, INT8_MAX);
    }
    x += mean->count * mean->inner;
  }
}
