#include "edgernn_conv.h"

void edgernn_depthwise_s16(const edgernn_depthwise_t *layer, const int16_t *x, int16_t *y) {
  const int8_t *weights = layer->weights;
  const int32_t size = layer->size, depth = layer->depth;
  int32_t row = 0;
  for (int32_t channel = 0; channel < depth; channel++) {
    for (int32_t i = 0; i < layer->multiple; i++) {
      const int16_t *value = x + channel;
      int32_t sum = 0;
      for (int32_t k = 0; k < size; k++) {
        sum += *weights++ * *value;
        value += depth;
      }
      const int32_t result =
          edgernn_rescale_wide(sum + layer->bias[row], layer->multiplier[row * layer->step],
                               15 - layer->shift[row * layer->step]);
      *y++ = (int16_t)edgernn_clamp(result, layer->low, layer->high);
      row++;
    }
  }
}
