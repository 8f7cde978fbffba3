#include "edgernn_audio.h"

static int32_t leading_zeros(uint32_t x) {
#ifdef __GNUC__
  return __builtin_clz(x);
#else
  int32_t zeros = 0;
  for (int32_t step = 16; step > 0; step /= 2) {
    if ((x >> (32 - step)) == 0) {
      zeros += step;
      x <<= step;
    }
  }
  return zeros;
#endif
}

int32_t edgernn_log2(int64_t x) {
  const uint32_t high = (uint32_t)((uint64_t)x >> 32);
  const int32_t zeros = high != 0 ? leading_zeros(high) : 32 + leading_zeros((uint32_t)x);
  const uint32_t mantissa = (uint32_t)(((uint64_t)x << zeros) >> 32);
  const uint16_t *const line = edgernn_log_table + ((mantissa >> 24) & 127);
  const uint32_t rest = (mantissa >> 8) & 0xFFFF;
  const uint32_t part = line[0] + ((((uint32_t)line[1] - line[0]) * rest) >> 16);
  return (63 - zeros) * 65536 + (int32_t)part;
}
