#include "edgernn_audio.h"

void edgernn_mel(const edgernn_audio_t *a, const int32_t *powers, int64_t *energies) {
  const uint32_t *p = (const uint32_t *)(const void *)(powers + 2 * a->mel_start);
  const uint16_t *weight = a->mel_weights;
  for (int32_t segment = 0; segment <= a->bands; segment++) {
    uint64_t all = 0;
    uint64_t up = 0;
    for (int32_t left = a->mel_lengths[segment]; left > 0; left--) {
      const uint32_t w = *weight++;
      all += ((uint64_t)p[1] << 32) | p[0];
      up += (uint64_t)p[0] * w + ((uint64_t)(p[1] * w) << 32);
      p += 2;
    }
    if (segment < a->bands) {
      energies[segment] = (int64_t)up;
    }
    if (segment > 0) {
      energies[segment - 1] += (int64_t)((all << 15) - up);
    }
  }
}
