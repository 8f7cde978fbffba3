#include "edgernn_sensor.h"

void edgernn_difference(int32_t *last, uint8_t *known, int32_t count, int32_t *x) {
  for (int32_t i = 0; i < count; i++) {
    const int32_t value = x[i];
    x[i] = *known ? edgernn_sensor_clamp((int64_t)value - last[i]) : 0;
    last[i] = value;
  }
  *known = 1;
}
