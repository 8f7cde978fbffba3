#include "edgernn_sensor.h"

int32_t edgernn_magnitude(const uint8_t *channels, int32_t count, const int32_t *x) {
  uint64_t sum = 0;
  for (int32_t i = 0; i < count; i++) {
    const int64_t value = x[channels[i]];
    sum += (uint64_t)(value * value);
  }
  return edgernn_sensor_clamp(edgernn_square_root(sum));
}
