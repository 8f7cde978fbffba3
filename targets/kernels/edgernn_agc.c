#include "edgernn_audio.h"

#define FINER_BITS 6 /* of the level, which is in Q16 */

void edgernn_agc(const edgernn_agc_t *g, int32_t bands, int32_t *level, int32_t *features) {
  int32_t loudest = *level - g->release;
  if (loudest < g->least) {
    loudest = g->least;
  }
  for (int32_t i = 0; i < bands; i++) {
    features[i] += g->emphasis[i];
    if (features[i] * (1 << FINER_BITS) > loudest) {
      loudest = features[i] * (1 << FINER_BITS);
    }
  }
  *level = loudest;
  loudest >>= FINER_BITS;
  for (int32_t i = 0; i < bands; i++) {
    const int32_t below = features[i] - loudest;
    features[i] = below > -g->range ? below : -g->range;
  }
}
