#include "edgernn_frame_quantize.h"

void edgernn_frame_quantize_s16(const edgernn_frame_quantizer_t *q, const int32_t *features,
                                int16_t *frame) {
  for (int32_t i = 0; i < q->features; i++) {
    const int64_t x = ((int64_t)features[i] * q->multiplier[i] + q->offset[i]) >> q->shift;
    frame[i] = (int16_t)(x < INT16_MIN ? INT16_MIN : x > INT16_MAX ? INT16_MAX : x);
  }
}
