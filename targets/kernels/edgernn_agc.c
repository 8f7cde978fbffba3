#include "edgernn_audio.h"

#define FINER 64 /* from Q10 to Q16 */

void edgernn_agc(const edgernn_agc_t *g, int32_t bands, int32_t *level, int32_t *features) {
  int32_t loudest = *level - g->release;
  if (loudest < g->least) {
    loudest = g->least;
  }
  for (int32_t i = 0; i < bands; i++) {
    features[i] += g->emphasis[i];
    if (features[i] * FINER > loudest) {
      loudest = features[i] * FINER;
    }
  }
  *level = loudest;
  loudest >>= 6;
  for (int32_t i = 0; i < bands; i++) {
    const int32_t below = features[i] - loudest;
    features[i] = below > -g->range ? below : -g->range;
  }
}
