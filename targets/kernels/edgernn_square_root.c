#include "edgernn_sensor.h"

int32_t edgernn_square_root(uint64_t x) {
  uint32_t root = 0;
  for (uint32_t bit = 1u << 30; bit != 0; bit >>= 1) {
    const uint32_t larger = root | bit;
    if ((uint64_t)larger * larger <= x) {
      root = larger;
    }
  }
  return (int32_t)root;
}
