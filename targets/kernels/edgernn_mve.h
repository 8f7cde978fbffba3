/*
 * The functions of edgernn_math.h and edgernn_activation.h on four values at a time, for cores
 * with Helium. Bit for bit the same: VRMULH, VQRDMULH and VRSHL round half up like their scalar
 * versions, and saturation is a saturating shift to the top of the lane and back.
 */
#ifndef EDGERNN_MVE_H
#define EDGERNN_MVE_H

#include <arm_mve.h>

#include "edgernn_activation.h"

static inline int32x4_t edgernn_mve_at_least(int32x4_t x, int32_t low) {
  return vmaxq_s32(x, vdupq_n_s32(low));
}

static inline int32x4_t edgernn_mve_at_most(int32x4_t x, int32_t high) {
  return vminq_s32(x, vdupq_n_s32(high));
}

static inline int32x4_t edgernn_mve_clamp(int32x4_t x, int32_t low, int32_t high) {
  return edgernn_mve_at_most(edgernn_mve_at_least(x, low), high);
}

static inline int32x4_t edgernn_mve_min(int32x4_t a, int32x4_t b) { return vminq_s32(a, b); }

static inline int32x4_t edgernn_mve_max(int32x4_t a, int32x4_t b) { return vmaxq_s32(a, b); }

static inline int32x4_t edgernn_mve_saturate_8(int32x4_t x) {
  return vshrq_n_s32(vqshlq_n_s32(x, 24), 24);
}

static inline int32x4_t edgernn_mve_saturate_16(int32x4_t x) {
  return vshrq_n_s32(vqshlq_n_s32(x, 16), 16);
}

static inline int32x4_t edgernn_mve_rounding_shift(int32x4_t x, int bits) {
  return vrshlq_n_s32(x + (x >> 31), -bits);
}

static inline int32x4_t edgernn_mve_rounding_shift_by(int32x4_t x, int bits) {
  return bits == 0 ? x : edgernn_mve_rounding_shift(x, bits);
}

static inline int32x4_t edgernn_mve_mul_high(int32x4_t x, int32_t m) {
  return vrmulhq_s32(x, vdupq_n_s32(m));
}

static inline int32x4_t edgernn_mve_high_mul(int32x4_t x, int32_t m) {
  return vqrdmulhq_n_s32(x, m);
}

static inline int32x4_t edgernn_mve_rescale(int32x4_t x, int32_t multiplier, int left, int right) {
  return edgernn_mve_rounding_shift_by(edgernn_mve_high_mul(vshlq_r_s32(x, left), multiplier),
                                       right);
}

static inline int32x4_t edgernn_mve_lookup_s8(const int8_t *table, int32x4_t i) {
  return vldrbq_gather_offset_s32(table, vreinterpretq_u32_s32(i));
}

/* The table's curve at magnitudes m, in steps of 2^-(16 + bits). */
static inline int32x4_t edgernn_mve_interpolate(int32x4_t m, int bits) {
  const uint32x4_t at = vreinterpretq_u32_s32(m >> bits);
  const uint32x4_t a = vldrhq_gather_shifted_offset_u32(edgernn_sigmoid_table, at);
  const uint32x4_t b = vldrhq_gather_shifted_offset_u32(edgernn_sigmoid_table + 1, at);
  const int32x4_t value = vreinterpretq_s32_u32(a), step = vreinterpretq_s32_u32(b - a);
  return (value << bits) + (m & ((1 << bits) - 1)) * step;
}

static inline int32x4_t edgernn_mve_sigmoid_s16(int32x4_t x) {
  const int32x4_t value = edgernn_mve_interpolate(vabsq_s32(x), 9);
  return ((value ^ (x >> 31)) + ((1 << 24) + 512)) >> 10;
}

static inline int32x4_t edgernn_mve_tanh_s16(int32x4_t x) {
  const int32x4_t value = edgernn_mve_interpolate(vabsq_s32(x), 8);
  return ((value ^ (x >> 31)) + 128) >> 8;
}

static inline int32x4_t edgernn_mve_sigmoid_any_s16(int32x4_t x) {
  const int32x4_t m = edgernn_mve_at_most(vabsq_s32(x), 255 * 512 - 1);
  return ((edgernn_mve_interpolate(m, 9) ^ (x >> 31)) + ((1 << 24) + 512)) >> 10;
}

static inline int32x4_t edgernn_mve_tanh_any_s16(int32x4_t x) {
  const int32x4_t m = edgernn_mve_at_most(vabsq_s32(x), 65535);
  return ((edgernn_mve_interpolate(m, 8) ^ (x >> 31)) + 128) >> 8;
}

#endif
