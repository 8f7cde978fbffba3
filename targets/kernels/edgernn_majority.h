/* Segments of time from a vote of the last predictions; see edgernn/detectors/majority.py. */
#ifndef EDGERNN_MAJORITY_H
#define EDGERNN_MAJORITY_H

#include <stdint.h>

#include "edgernn_event.h"

typedef struct {
  const uint8_t *ignored; /* by label, whether it is told */
  int32_t count;          /* labels, at most 255 */
  int32_t window;
  int32_t minimum;
} edgernn_majority_t;

typedef struct {
  int64_t since_us; /* when the candidate began to lead */
  int64_t start_us; /* the same of the label that is believed */
  int64_t total;    /* of its scores */
  int64_t scores;   /* and how many */
  int32_t believed; /* a label, or -1 */
  int32_t candidate;
  int32_t led; /* predictions */
  int32_t oldest;
} edgernn_majority_state_t;

/* `votes` are the labels of the window, 255 for none yet; `counts` how many each label has. */
void edgernn_majority_reset(const edgernn_majority_t *m, edgernn_majority_state_t *s,
                            uint8_t *votes, int32_t *counts);

/* Takes the scores of a prediction. Returns how many events it wrote: at most two. */
int32_t edgernn_majority_push(const edgernn_majority_t *m, edgernn_majority_state_t *s,
                              uint8_t *votes, int32_t *counts, const int32_t *scores,
                              int64_t time_us, edgernn_event_t *events);

#endif
