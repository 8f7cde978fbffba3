/* From a front end's features to a model's own integers. */
#ifndef EDGERNN_FRAME_QUANTIZE_H
#define EDGERNN_FRAME_QUANTIZE_H

#include <stdint.h>

typedef struct {
  const int32_t *multiplier; /* one value per feature */
  const int64_t *offset;     /* with the half that rounds */
  int32_t features;
  int32_t shift;
} edgernn_frame_quantizer_t;

/* frame[i] = clamp((features[i] * multiplier[i] + offset[i]) >> shift) */
void edgernn_frame_quantize_s8(const edgernn_frame_quantizer_t *q, const int32_t *features,
                               int8_t *frame);
void edgernn_frame_quantize_s16(const edgernn_frame_quantizer_t *q, const int32_t *features,
                                int16_t *frame);

#endif
