#include "edgernn_scores.h"

#define LIMIT (1 << 20) /* sums of 1,023 scores have 32 bits */

void edgernn_scores_s8(const edgernn_scorer_t *s, const int8_t *y, int32_t count,
                        int32_t *scores) {
  for (int32_t i = 0; i < count; i++) {
    const int64_t half = (int64_t)1 << (s->shift - 1);
    const int64_t x = ((int64_t)(y[i] - s->zero_point) * s->multiplier + half) >> s->shift;
    scores[i] = (int32_t)(x < -LIMIT ? -LIMIT : x > LIMIT ? LIMIT : x);
  }
}
