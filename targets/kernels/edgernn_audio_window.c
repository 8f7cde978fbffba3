#include "edgernn_audio.h"

/* The index after `i` when the bits of indices below `count` are read backwards. */
static int32_t next_reversed(int32_t i, int32_t count) {
  int32_t bit = count >> 1;
  while (i & bit) {
    i ^= bit;
    bit >>= 1;
  }
  return i | bit;
}

void edgernn_audio_window(const edgernn_audio_t *a, const int16_t *ring, int32_t at, int32_t *z) {
  const int32_t half = a->size / 2;
  int32_t target = 0;
  int32_t k = 0;
  for (int32_t i = 0; i < half; i++) {
    int32_t *const pair = z + 2 * target;
    for (int32_t j = 0; j < 2; j++) {
      pair[j] = k < a->length ? ring[at] * a->window[k] : 0;
      at = at + 1 < a->length ? at + 1 : 0;
      k++;
    }
    target = next_reversed(target, half);
  }
}
