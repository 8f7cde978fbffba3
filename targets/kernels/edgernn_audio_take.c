#include "edgernn_audio.h"

int32_t edgernn_audio_take(const edgernn_audio_t *a, int16_t *ring, int32_t *at, int32_t *due,
                           const int16_t *samples, int32_t count) {
  const int32_t taken = count < *due ? count : *due;
  int32_t position = *at;
  for (int32_t i = 0; i < taken; i++) {
    ring[position] = samples[i];
    position = position + 1 < a->length ? position + 1 : 0;
  }
  *at = position;
  *due -= taken;
  return taken;
}
