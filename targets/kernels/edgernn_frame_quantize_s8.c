#include "edgernn_frame_quantize.h"

void edgernn_frame_quantize_s8(const edgernn_frame_quantizer_t *q, const int32_t *features,
                               int8_t *frame) {
  for (int32_t i = 0; i < q->features; i++) {
    const int64_t x = ((int64_t)features[i] * q->multiplier[i] + q->offset[i]) >> q->shift;
    frame[i] = (int8_t)(x < INT8_MIN ? INT8_MIN : x > INT8_MAX ? INT8_MAX : x);
  }
}
