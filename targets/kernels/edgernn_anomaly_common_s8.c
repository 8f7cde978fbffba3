#include "edgernn_anomaly.h"

void edgernn_anomaly_common_s8(const edgernn_anomaly_t *a, const int8_t *y, const int8_t *x,
                               int32_t *prediction, int32_t *frame) {
  for (int32_t i = 0; i < a->count; i++) {
    prediction[i] = y[i] * a->prediction[i] + a->offset[i];
    frame[i] = x[a->elements[i]] * a->frame[i];
  }
}
