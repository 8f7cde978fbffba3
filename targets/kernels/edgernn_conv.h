/* Convolution and pooling over images [batch, height, width, channel]. */
#ifndef EDGERNN_CONV_H
#define EDGERNN_CONV_H

#include "edgernn_math.h"

/* Where a window moves: it covers only what lies inside the image. */
typedef struct {
  int32_t batches, height, width, depth;
  int32_t out_height, out_width;
  int32_t window_height, window_width;
  int32_t stride_y, stride_x;
  int32_t dilation_y, dilation_x;
  int32_t pad_y, pad_x;
} edgernn_window_t;

/*
 * `weights` is [out_depth, window height, window width, group_depth]; each group of `group_rows`
 * rows reads its own `group_depth` channels. Depthwise convolution has a group for each channel.
 */
typedef struct {
  edgernn_window_t window;
  const int8_t *weights;
  const int64_t *bias;
  const int32_t *multiplier;
  const int8_t *shift;
  int32_t out_depth, group_rows, group_depth;
  int32_t step; /* 0: one multiplier and shift for all rows */
  int32_t input_zero_point, zero_point;
  int32_t low, high;
  int32_t narrow; /* the accumulator has 32 bits, and the rescaling rounds twice */
} edgernn_conv_t;

void edgernn_conv_s8(const edgernn_conv_t *conv, const int8_t *x, int8_t *y);
void edgernn_conv_s16(const edgernn_conv_t *conv, const int16_t *x, int16_t *y);

/*
 * Depthwise convolution with a window that covers the whole image, which has `size` points of
 * `depth` channels. `weights` is [depth, multiple, size]; the input's zero point is in the bias.
 */
typedef struct {
  const int8_t *weights;
  const int64_t *bias;
  const int32_t *multiplier;
  const int8_t *shift;
  int32_t size, depth, multiple;
  int32_t step; /* 0: one multiplier and shift for all rows */
  int32_t zero_point;
  int32_t low, high;
} edgernn_depthwise_t;

void edgernn_depthwise_s8(const edgernn_depthwise_t *layer, const int8_t *x, int8_t *y);
void edgernn_depthwise_s16(const edgernn_depthwise_t *layer, const int16_t *x, int16_t *y);

typedef struct {
  edgernn_window_t window;
  int32_t low, high;
} edgernn_pool_t;

void edgernn_average_pool_s8(const edgernn_pool_t *pool, const int8_t *x, int8_t *y);
void edgernn_average_pool_s16(const edgernn_pool_t *pool, const int16_t *x, int16_t *y);
void edgernn_max_pool_s8(const edgernn_pool_t *pool, const int8_t *x, int8_t *y);
void edgernn_max_pool_s16(const edgernn_pool_t *pool, const int16_t *x, int16_t *y);

/* The same in single precision. */
typedef struct {
  edgernn_window_t window;
  const float *weights;
  const float *bias;
  int32_t out_depth, group_rows, group_depth;
  float low, high;
} edgernn_conv_f32_t;

void edgernn_conv_f32(const edgernn_conv_f32_t *conv, const float *x, float *y);

typedef struct {
  edgernn_window_t window;
  int32_t mean; /* else the largest value */
  float low, high;
} edgernn_pool_f32_t;

void edgernn_pool_f32(const edgernn_pool_f32_t *pool, const float *x, float *y);

/* Rows or columns of a window from `first` on that lie inside 0..size: [from, to). */
typedef struct {
  int32_t from, to;
} edgernn_span_t;

static inline edgernn_span_t edgernn_span(int32_t first, int32_t count, int32_t dilation,
                                          int32_t size) {
  edgernn_span_t span = {0, count};
  int32_t last = first + (count - 1) * dilation;
  EDGERNN_ROLLED
  for (; span.from < count && first < 0; first += dilation) {
    span.from++;
  }
  EDGERNN_ROLLED
  for (; span.to > span.from && last >= size; last -= dilation) {
    span.to--;
  }
  return span;
}

#endif
