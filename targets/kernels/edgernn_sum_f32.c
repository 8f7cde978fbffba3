#include "edgernn_float.h"

void edgernn_sum_f32(int32_t outer, int32_t count, int32_t inner, float factor, const float *x,
                     float *y) {
  for (int32_t i = 0; i < outer; i++) {
    for (int32_t j = 0; j < inner; j++) {
      float sum = 0.0f;
      for (int32_t k = 0; k < count; k++) {
        sum += x[k * inner + j];
      }
      *y++ = sum * factor;
    }
    x += count * inner;
  }
}
