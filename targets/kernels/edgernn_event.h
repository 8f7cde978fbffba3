/* What a detector reports. */
#ifndef EDGERNN_EVENT_H
#define EDGERNN_EVENT_H

#include <stdint.h>

typedef struct {
  int32_t label;    /* which output of the model; 0 for an anomaly */
  int32_t score;    /* 32,768 is a probability of one; of an anomaly: in the detector's unit */
  int64_t start_us; /* microseconds, on the clock of the samples */
  int64_t end_us;
  int32_t phase; /* 1 when it begins, 0 when it is over */
} edgernn_event_t;

#endif
