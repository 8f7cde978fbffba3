/*
 * Fixed-point arithmetic of generated code, bit-exact with TensorFlow Lite Micro's reference
 * kernels. Right shifts of negative numbers are arithmetic on every supported compiler.
 */
#ifndef EDGERNN_MATH_H
#define EDGERNN_MATH_H

#include <stdint.h>

/* Before a loop whose turns are few or long: compilers would only make it larger. */
#if defined(__clang__)
#define EDGERNN_ROLLED _Pragma("clang loop unroll(disable)")
#else
#define EDGERNN_ROLLED
#endif

static inline int32_t edgernn_min(int32_t a, int32_t b) { return a < b ? a : b; }

static inline int32_t edgernn_max(int32_t a, int32_t b) { return a > b ? a : b; }

static inline int32_t edgernn_at_most(int32_t x, int32_t high) { return x > high ? high : x; }

static inline int32_t edgernn_at_least(int32_t x, int32_t low) { return x < low ? low : x; }

static inline int32_t edgernn_clamp(int32_t x, int32_t low, int32_t high) {
  return x < low ? low : x > high ? high : x;
}

/* Saturation to 8 and 16 bits: one instruction on most cores, which compilers do not always find. */
static inline int32_t edgernn_saturate_8(int32_t x) {
#if defined(__ARM_FEATURE_SAT) && defined(__GNUC__)
  int32_t y;
  __asm__("ssat %0, #8, %1" : "=r"(y) : "r"(x) : "cc");
  return y;
#else
  return edgernn_clamp(x, INT8_MIN, INT8_MAX);
#endif
}

static inline int32_t edgernn_saturate_16(int32_t x) {
#if defined(__ARM_FEATURE_SAT) && defined(__GNUC__)
  int32_t y;
  __asm__("ssat %0, #16, %1" : "=r"(y) : "r"(x) : "cc");
  return y;
#else
  return edgernn_clamp(x, INT16_MIN, INT16_MAX);
#endif
}

static inline int32_t edgernn_lookup_s8(const int8_t *table, int32_t i) { return table[i]; }

static inline int32_t edgernn_abs(int32_t x) { return x < 0 ? -x : x; }

/* x * 2^bits, wrapping like the two's complement machine. */
static inline int32_t edgernn_shift_left(int32_t x, int bits) {
  return (int32_t)((uint32_t)x << bits);
}

/* x / 2^bits for bits >= 1, rounded half away from zero. */
static inline int32_t edgernn_rounding_shift(int32_t x, int bits) {
  return (x + (x >> 31) + (1 << (bits - 1))) >> bits;
}

/* The same with a variable number of bits, 0 included. */
static inline int32_t edgernn_rounding_shift_by(int32_t x, int bits) {
  return bits == 0 ? x : (((x + (x >> 31)) >> (bits - 1)) + 1) >> 1;
}

/* (x * m + 2^31) / 2^32 for 0 <= m: upper half of the product, rounded half up. */
static inline int32_t edgernn_mul_high(int32_t x, int32_t m) {
#if defined(__ARM_ARCH_6M__)
  /* No long multiply: four short ones. */
  const int32_t xh = x >> 16, mh = m >> 16;
  const uint32_t xl = (uint32_t)x & 0xFFFFu, ml = (uint32_t)m & 0xFFFFu;
  const uint32_t low = xl * ml;
  const int32_t mid = xh * (int32_t)ml + (int32_t)(low >> 16);
  const uint32_t mid2 = xl * (uint32_t)mh + ((uint32_t)mid & 0xFFFFu) + 0x8000u;
  return xh * mh + (mid >> 16) + (int32_t)(mid2 >> 16);
#else
  return (int32_t)(((int64_t)x * m + ((int64_t)1 << 31)) >> 32);
#endif
}

/* (x * m + 2^30) / 2^31 for 0 <= m: the doubled upper half, for any x. */
static inline int32_t edgernn_high_mul(int32_t x, int32_t m) {
  return (int32_t)(((int64_t)x * m + ((int64_t)1 << 30)) >> 31);
}

/* x * multiplier * 2^(left - right - 31) with the reference's two roundings. */
static inline int32_t edgernn_rescale(int32_t x, int32_t multiplier, int left, int right) {
  return edgernn_rounding_shift_by(edgernn_high_mul(edgernn_shift_left(x, left), multiplier), right);
}

/* A 64-bit accumulator times a 16-bit multiplier / 2^bits, rounded half up. */
static inline int32_t edgernn_rescale_wide(int64_t x, int32_t multiplier, int bits) {
  return (int32_t)((x * multiplier + ((int64_t)1 << (bits - 1))) >> bits);
}

#endif
