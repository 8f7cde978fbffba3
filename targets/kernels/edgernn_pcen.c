#include "edgernn_audio.h"

#define HIGHEST (20 * 65536 - 1)
#define FRACTION 10

void edgernn_pcen(const edgernn_audio_t *a, const edgernn_pcen_t *p, int first,
                  const int64_t *energies, int64_t *smoothed, int32_t *features) {
  for (int32_t i = 0; i < a->bands; i++) {
    const int64_t energy = energies[i];
    int64_t m = first ? energy : smoothed[i];
    m += (energy >> 15) * p->smoothing - (m >> 15) * p->smoothing;
    smoothed[i] = m;
    const int64_t divisor = (int64_t)edgernn_log2(m + a->floor) * p->gain;
    const int32_t quotient = edgernn_log2(energy + 1) - (int32_t)(divisor >> 15) + p->scale;
    const int32_t x = edgernn_power2(quotient < HIGHEST ? quotient : HIGHEST, FRACTION) + p->bias;
    const int64_t exponent = ((int64_t)edgernn_log2(x) - FRACTION * 65536) * p->root;
    features[i] = edgernn_power2((int32_t)(exponent >> 15), FRACTION) - p->rest;
  }
}
