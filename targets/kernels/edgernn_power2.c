#include "edgernn_audio.h"

int32_t edgernn_power2(int32_t x, int32_t fraction) {
  const uint16_t *const line = edgernn_power_table + ((x >> 9) & 127);
  const int32_t value = line[0] + (((line[1] - line[0]) * (x & 511)) >> 9);
  const int32_t down = 15 - fraction - (x >> 16);
  return down < 0 ? value << -down : value >> (down < 31 ? down : 31);
}
