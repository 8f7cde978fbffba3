/* Single events from scores that rise and fall; edgernn/detectors/trigger.py says how. */
#ifndef EDGERNN_TRIGGER_H
#define EDGERNN_TRIGGER_H

#include <stdint.h>

#include "edgernn_event.h"

/* Thresholds are of sums over the window, times are numbers of predictions. */
typedef struct {
  int32_t output;
  int32_t threshold;
  int32_t release;
  int32_t minimum;
  int32_t refractory;
} edgernn_trigger_label_t;

typedef struct {
  const edgernn_trigger_label_t *labels;
  int32_t count;
  int32_t smoothing;
  int32_t pause;
  int32_t both; /* whether the end of an event is told as well */
} edgernn_trigger_t;

typedef struct {
  int64_t rise_us;
  int32_t sum;
  int32_t peak;
  int32_t above; /* predictions at or above the threshold, so far */
  int32_t quiet; /* predictions until it may fire again */
  uint8_t armed;
  uint8_t rising;
  uint8_t active;
} edgernn_trigger_state_t;

typedef struct {
  int32_t oldest;
  int32_t pause; /* predictions until any label may fire again */
} edgernn_trigger_common_t;

void edgernn_trigger_reset(const edgernn_trigger_t *t, edgernn_trigger_state_t *states,
                           edgernn_trigger_common_t *common, int32_t *ring);

/*
 * Takes the scores of a prediction; `ring` holds those of the window, smoothing x count of them.
 * Returns how many events it wrote: at most one for each label and one more.
 */
int32_t edgernn_trigger_push(const edgernn_trigger_t *t, edgernn_trigger_state_t *states,
                             edgernn_trigger_common_t *common, int32_t *ring,
                             const int32_t *scores, int64_t time_us, edgernn_event_t *events);

#endif
