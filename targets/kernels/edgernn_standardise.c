#include "edgernn_sensor.h"

void edgernn_standardise(const int32_t *gain, const int64_t *offset, int32_t count, int32_t *x) {
  for (int32_t i = 0; i < count; i++) {
    x[i] = edgernn_sensor_clamp(((int64_t)x[i] * gain[i] + offset[i]) >> 24);
  }
}
