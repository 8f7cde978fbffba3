/* Fixed-point functions in Q0.31 and neighbouring formats, by Newton's method. */
#ifndef EDGERNN_FIXEDPOINT_H
#define EDGERNN_FIXEDPOINT_H

#include "edgernn_math.h"

/* x * 2^bits, saturated. */
static inline int32_t edgernn_shift_left_saturated(int32_t x, int bits) {
  const int32_t limit = INT32_MAX >> bits;
  return x > limit ? INT32_MAX : x < -limit - 1 ? INT32_MIN : edgernn_shift_left(x, bits);
}

static inline int edgernn_leading_zeros(uint32_t x) {
  int zeros = 0;
  for (uint32_t bit = 0x80000000u; bit != 0 && (x & bit) == 0; bit >>= 1) {
    zeros++;
  }
  return zeros;
}

/* 1 / (1 + x) for x in [0, 1], both in Q0.31. */
static inline int32_t edgernn_reciprocal(int32_t x) {
  const int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) >> 1); /* (1 + x) / 2 */
  int32_t y = 1515870810 + edgernn_high_mul(-1010580540, half);      /* Q2.29: 48/17 - 32/17 half */
  for (int i = 0; i < 3; i++) {
    const int32_t error = (1 << 29) - edgernn_high_mul(y, half);
    y += edgernn_shift_left_saturated(edgernn_high_mul(y, error), 2);
  }
  return edgernn_shift_left_saturated(y, 1);
}

/* 1 / sqrt(x) as a multiplier and a left shift: result * 2^(shift - 31). */
static inline int32_t edgernn_inverse_sqrt(int32_t x, int *shift) {
  if (x <= 1) {
    *shift = 0;
    return INT32_MAX;
  }
  int right = 11;
  while (x >= 1 << 29) {
    x /= 4;
    right++;
  }
  const int pairs = (edgernn_leading_zeros((uint32_t)x) - 1) / 2 - 1;
  right -= pairs;
  x = edgernn_shift_left(x, 2 * pairs);
  const int32_t half = edgernn_rounding_shift(x >> 1, 1); /* Q3.28 */
  int32_t y = 1 << 28;
  for (int i = 0; i < 5; i++) {
    const int32_t square = edgernn_high_mul(y, y);
    const int32_t cube = edgernn_shift_left_saturated(edgernn_high_mul(square, y), 6);
    const int32_t next = edgernn_high_mul(y, (1 << 28) + (1 << 27)) - edgernn_high_mul(cube, half);
    y = edgernn_shift_left_saturated(next, 3);
  }
  y = edgernn_high_mul(y, 1518500250); /* sqrt(2) / 2 */
  if (right < 0) {
    y = edgernn_shift_left(y, -right);
    right = 0;
  }
  *shift = -right;
  return y;
}

/* 1 / sqrt of a difference from the zero point, rescaled; the reference keeps 20 bits between. */
static inline int32_t edgernn_rsqrt(int32_t x, int32_t multiplier, int shift, int32_t zero_point,
                                    int32_t low, int32_t high) {
  if (x <= 0) {
    return high;
  }
  int inner;
  const int32_t inverse = edgernn_inverse_sqrt(x, &inner);
  inner += 20;
  const int outer = shift - 20;
  const int32_t data =
      edgernn_rescale(1, inverse, edgernn_max(inner, 0), edgernn_max(-inner, 0));
  const int32_t value =
      edgernn_rescale(data, multiplier, edgernn_max(outer, 0), edgernn_max(-outer, 0));
  return edgernn_clamp(value + zero_point, low, high);
}

#endif
