/*
 * Sigmoid and hyperbolic tangent of 16-bit activations: linear interpolation in one table of the
 * sigmoid. The argument is in units of 1/12288, the result in units of 1/32768.
 */
#ifndef EDGERNN_ACTIVATION_H
#define EDGERNN_ACTIVATION_H

#include "edgernn_math.h"

/* Sigmoid of i/24, i = 0..255, in units of 1/65536. */
extern const uint16_t edgernn_sigmoid_table[256];

/* Upper half of the table's curve at magnitude m, in steps of 2^-(16 + bits). */
static inline int32_t edgernn_interpolate(uint32_t m, int bits) {
  const uint16_t *const entry = edgernn_sigmoid_table + (m >> bits);
  const uint32_t a = entry[0], b = entry[1];
  return (int32_t)((a << bits) + (m & ((1u << bits) - 1u)) * (b - a));
}

/* Sigmoid; the argument's magnitude is below 255 * 512. */
static inline int32_t edgernn_sigmoid_s16(int32_t x) {
  const int32_t sign = x >> 31;
  const int32_t value = edgernn_interpolate((uint32_t)edgernn_abs(x), 9) ^ sign;
  return (value + ((1 << 25) & sign) + 512) >> 10;
}

/* Hyperbolic tangent; the argument's magnitude is below 255 * 256. */
static inline int32_t edgernn_tanh_s16(int32_t x) {
  const int32_t value = edgernn_interpolate((uint32_t)edgernn_abs(x), 8) - (1 << 23);
  return ((value ^ (x >> 31)) + 128) >> 8;
}

/* The same for any argument: beyond the table's end both functions are constant. */
static inline int32_t edgernn_sigmoid_any_s16(int32_t x) {
  const int32_t sign = x >> 31;
  const int32_t m = edgernn_min(edgernn_abs(x), 255 * 512 - 1);
  const int32_t value = edgernn_interpolate((uint32_t)m, 9) ^ sign;
  return (value + ((1 << 25) & sign) + 512) >> 10;
}

static inline int32_t edgernn_tanh_any_s16(int32_t x) {
  const int32_t m = edgernn_min(edgernn_abs(x), 255 * 256 - 1);
  const int32_t value = edgernn_interpolate((uint32_t)m, 8) - (1 << 23);
  return ((value ^ (x >> 31)) + 128) >> 8;
}

#endif
