/* Frames that are far from what the model said they would be; edgernn/detectors/anomaly.py. */
#ifndef EDGERNN_ANOMALY_H
#define EDGERNN_ANOMALY_H

#include <stdint.h>

#include "edgernn_event.h"

typedef struct {
  const int32_t *elements;   /* of the frame, for each value of the prediction */
  const int32_t *frame;      /* multipliers that bring the frame's values to the common unit, */
  const int32_t *prediction; /* those of the prediction, and what is added to it */
  const int32_t *offset;
  int32_t count;
  int32_t horizon;
  int32_t maximum; /* of the elements, or their sum */
  int32_t smoothing;
  int32_t many; /* residuals in a sum */
  int32_t minimum;
  int32_t merge;
  int64_t threshold;
  int64_t release;
} edgernn_anomaly_t;

typedef struct {
  int64_t sum;
  int64_t peak;
  int64_t rise_us;
  int64_t last_us;
  int32_t known; /* forecasts so far, up to the horizon */
  int32_t forecast;
  int32_t oldest;
  int32_t above;
  int32_t below;
  int32_t active;
} edgernn_anomaly_state_t;

/* `forecasts` holds horizon x count values, `ring` the residuals of the window. */
void edgernn_anomaly_reset(const edgernn_anomaly_t *a, edgernn_anomaly_state_t *s,
                           int32_t *forecasts, int64_t *ring);

/* A raw prediction and frame in the common unit. */
void edgernn_anomaly_common_s8(const edgernn_anomaly_t *a, const int8_t *y, const int8_t *x,
                               int32_t *prediction, int32_t *frame);
void edgernn_anomaly_common_s16(const edgernn_anomaly_t *a, const int16_t *y, const int16_t *x,
                                int32_t *prediction, int32_t *frame);

/* Takes a prediction and its frame in the common unit. Returns how many events it wrote: 0 or 1. */
int32_t edgernn_anomaly_push(const edgernn_anomaly_t *a, edgernn_anomaly_state_t *s,
                             int32_t *forecasts, int64_t *ring, const int32_t *prediction,
                             const int32_t *frame, int64_t time_us, edgernn_event_t *events);

#endif
