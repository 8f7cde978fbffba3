#include "edgernn_audio.h"

void edgernn_cepstrum(const int16_t *table, int32_t coefficients, int32_t bands,
                      const int32_t *logs, int32_t *features) {
  for (int32_t k = 0; k < coefficients; k++) {
    int64_t sum = 1 << 14;
    for (int32_t i = 0; i < bands; i++) {
      sum += (int64_t)logs[i] * *table++;
    }
    features[k] = (int32_t)(sum >> 15);
  }
}
