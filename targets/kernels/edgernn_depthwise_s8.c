#include "edgernn_conv.h"

void edgernn_depthwise_s8(const edgernn_depthwise_t *layer, const int8_t *x, int8_t *y) {
  const int8_t *weights = layer->weights;
  const int32_t size = layer->size, depth = layer->depth;
  int32_t row = 0;
  for (int32_t channel = 0; channel < depth; channel++) {
    for (int32_t i = 0; i < layer->multiple; i++) {
      const int8_t *value = x + channel;
      int32_t sum = (int32_t)layer->bias[row];
      for (int32_t k = 0; k < size; k++) {
        sum += *weights++ * *value;
        value += depth;
      }
      const int shift = layer->shift[row * layer->step];
      const int32_t result = edgernn_rescale(sum, layer->multiplier[row * layer->step],
                                             edgernn_max(shift, 0), edgernn_max(-shift, 0));
      *y++ = (int8_t)edgernn_clamp(result + layer->zero_point, layer->low, layer->high);
      row++;
    }
  }
}
