/* Raw predictions as scores in Q15: 32,768 stands for a probability of one. */
#ifndef EDGERNN_SCORES_H
#define EDGERNN_SCORES_H

#include <stdint.h>

typedef struct {
  int32_t multiplier;
  int32_t shift;
  int32_t zero_point;
} edgernn_scorer_t;

void edgernn_scores_s8(const edgernn_scorer_t *s, const int8_t *y, int32_t count, int32_t *scores);
void edgernn_scores_s16(const edgernn_scorer_t *s, const int16_t *y, int32_t count,
                        int32_t *scores);

#endif
