/*
 * Sigmoid and hyperbolic tangent of 16-bit activations: linear interpolation in one table of the
 * sigmoid. The argument is in units of 1/12288, the result in units of 1/32768.
 */
#ifndef EDGERNN_ACTIVATION_H
#define EDGERNN_ACTIVATION_H

#include "edgernn_math.h"

/* Sigmoid of i/24 less 1/2, i = 0..255, in units of 1/65536; the last entry is there twice. */
extern const uint16_t edgernn_sigmoid_table[257];

#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
/* Two neighbours of the table as one word, at any even address. */
typedef struct __attribute__((packed, may_alias)) {
  uint32_t word;
} edgernn_pair_t;
#endif

/* Magnitude, in two instructions. */
static inline uint32_t edgernn_magnitude(int32_t x) {
  return (uint32_t)(x ^ (x >> 31)) + ((uint32_t)x >> 31);
}

/* The table's curve at magnitude m, in steps of 2^-(16 + bits). */
static inline int32_t edgernn_interpolate(uint32_t m, int bits) {
  const uint16_t *const entry = edgernn_sigmoid_table + (m >> bits);
  const uint32_t part = m & ((1u << bits) - 1u);
#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
  /* Both neighbours in one load, both products in one instruction. */
  const uint32_t weights = (part << 16) - part + (1u << bits);
  int32_t value;
  __asm__("smuad %0, %1, %2"
          : "=r"(value)
          : "r"(((const edgernn_pair_t *)(const void *)entry)->word), "r"(weights));
  return value;
#else
  const uint32_t a = entry[0], b = entry[1];
  return (int32_t)((a << bits) + part * (b - a));
#endif
}

/* Sigmoid; the argument's magnitude is below 255 * 512. */
static inline int32_t edgernn_sigmoid_s16(int32_t x) {
  const int32_t value = edgernn_interpolate(edgernn_magnitude(x), 9);
  return ((value ^ (x >> 31)) + ((1 << 24) + 512)) >> 10;
}

/* Hyperbolic tangent; the argument's magnitude is below 255 * 256. */
static inline int32_t edgernn_tanh_s16(int32_t x) {
  const int32_t value = edgernn_interpolate(edgernn_magnitude(x), 8);
  return ((value ^ (x >> 31)) + 128) >> 8;
}

/* The same for any argument below 2^30: beyond the table's end both functions are constant. */
static inline int32_t edgernn_sigmoid_any_s16(int32_t x) {
  const int32_t m = edgernn_min((int32_t)edgernn_magnitude(x), 255 * 512 - 1);
  const int32_t value = edgernn_interpolate((uint32_t)m, 9);
  return ((value ^ (x >> 31)) + ((1 << 24) + 512)) >> 10;
}

static inline int32_t edgernn_tanh_any_s16(int32_t x) {
  const int32_t m = edgernn_clamp((int32_t)edgernn_magnitude(x), 0, 65535);
  const int32_t value = edgernn_interpolate((uint32_t)m, 8);
  return ((value ^ (x >> 31)) + 128) >> 8;
}

#endif
