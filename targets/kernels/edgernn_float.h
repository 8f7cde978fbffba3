/*
 * Single-precision functions and kernels, for models that hold float32 tensors. No C library is
 * needed. Functions are within a few units in the last place of the exact ones.
 */
#ifndef EDGERNN_FLOAT_H
#define EDGERNN_FLOAT_H

#include <float.h>
#include <stdint.h>

static inline float edgernn_minf(float a, float b) { return a < b ? a : b; }

static inline float edgernn_maxf(float a, float b) { return a > b ? a : b; }

/* NaN becomes the lower limit. */
static inline float edgernn_clampf(float x, float low, float high) {
  return !(x > low) ? low : x > high ? high : x;
}

static inline float edgernn_absf(float x) { return x < 0.0f ? -x : x; }

/* x / scale rounded half away from zero, from the zero point on, saturated. */
static inline int32_t edgernn_quantize(float x, float scale, int32_t zero_point, int32_t low,
                                       int32_t high) {
  const float y =
      edgernn_clampf(x / scale, (float)(low - zero_point), (float)(high - zero_point));
  const int32_t whole = (int32_t)y;
  const float rest = y - (float)whole;
  return whole + (rest >= 0.5f) - (rest <= -0.5f) + zero_point;
}

/* A float and its bits. */
typedef union {
  float value;
  uint32_t bits;
} edgernn_float_bits_t;

/* e^x: 2^n times a polynomial in the rest, which is at most ln(2) / 2. */
static inline float edgernn_exp(float x) {
  x = edgernn_clampf(x, -87.0f, 88.0f);
  const float turns = x * 1.44269504f;
  const int32_t n = (int32_t)(turns + (turns < 0.0f ? -0.5f : 0.5f));
  const float r = (x - (float)n * 0.693359375f) + (float)n * 2.12194440e-4f;
  float y = 1.9875691e-4f;
  y = y * r + 1.3981999e-3f;
  y = y * r + 8.3334519e-3f;
  y = y * r + 4.1665796e-2f;
  y = y * r + 1.6666665e-1f;
  y = y * r + 5.0000001e-1f;
  y = y * r * r + r + 1.0f;
  const edgernn_float_bits_t power = {.bits = (uint32_t)(n + 127) << 23};
  return y * power.value;
}

/* Logarithm: 2^n times m from [1/sqrt(2), sqrt(2)), and log m = 2 artanh((m - 1) / (m + 1)). */
static inline float edgernn_log(float x) {
  const edgernn_float_bits_t given = {.value = edgernn_maxf(x, FLT_MIN)};
  const int32_t n = (int32_t)((given.bits - 0x3F3504F3u) >> 23);
  const int32_t exponent = given.bits < 0x3F3504F3u ? n - 512 : n;
  const edgernn_float_bits_t m = {.bits = given.bits - ((uint32_t)exponent << 23)};
  const float t = (m.value - 1.0f) / (m.value + 1.0f);
  const float s = t * t;
  const float y = 2.0f * t +
                  t * s * (6.6666667e-1f + s * (4.0e-1f + s * (2.8571429e-1f + s * 2.2222222e-1f)));
  return (float)exponent * 0.693147181f + y;
}

static inline float edgernn_sigmoid(float x) { return 1.0f / (1.0f + edgernn_exp(-x)); }

static inline float edgernn_tanh(float x) {
  if (edgernn_absf(x) < 0.125f) {
    const float s = x * x;
    return x * (1.0f + s * (-3.3333333e-1f + s * (1.3333333e-1f + s * -5.3968254e-2f)));
  }
  return 1.0f - 2.0f / (1.0f + edgernn_exp(2.0f * x));
}

/* 1 / sqrt(x) by Newton's method; of the least positive number where x is not positive. */
static inline float edgernn_rsqrtf(float x) {
  x = edgernn_maxf(x, FLT_MIN);
  edgernn_float_bits_t guess = {.value = x};
  guess.bits = 0x5F375A86u - (guess.bits >> 1);
  float y = guess.value;
  for (int i = 0; i < 4; i++) {
    y *= 1.5f - 0.5f * x * y * y;
  }
  return y;
}

static inline float edgernn_sqrtf(float x) { return x > 0.0f ? x * edgernn_rsqrtf(x) : 0.0f; }

/* y = clamp(W x + b); `weights` is row-major, `bias` may be NULL. */
typedef struct {
  const float *weights;
  const float *bias;
  int32_t rows, columns, batches;
  float low, high;
} edgernn_fully_connected_f32_t;

void edgernn_fully_connected_f32(const edgernn_fully_connected_f32_t *fc, const float *x,
                                 float *y);

void edgernn_softmax_f32(float beta, int32_t rows, int32_t columns, const float *x, float *y);

/* `factor` times the sums over the middle of three dimensions. */
void edgernn_sum_f32(int32_t outer, int32_t count, int32_t inner, float factor, const float *x,
                     float *y);

#endif
