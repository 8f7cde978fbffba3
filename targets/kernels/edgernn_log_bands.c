#include "edgernn_audio.h"

#define LN2 45426 /* Q16 */

void edgernn_log_bands(const edgernn_audio_t *a, const int64_t *energies, int32_t *features) {
  for (int32_t i = 0; i < a->bands; i++) {
    const int64_t logarithm = edgernn_log2(energies[i] + a->floor);
    features[i] = (int32_t)((logarithm * LN2) >> 22) - a->offset;
  }
}
