/*
 * What the window of a convolution covers, one after the other as a matrix product wants it: row
 * after row of points, with the zero point for those outside of the image.
 */
#ifndef EDGERNN_PATCH_H
#define EDGERNN_PATCH_H

#include "edgernn_conv.h"

typedef struct {
  edgernn_window_t window; /* its depth is the bytes of a point */
  int32_t zero_point;      /* 0 for 16 bits */
} edgernn_patch_t;

/* The patch at position `at` of the window, counted row after row. */
void edgernn_patch(const edgernn_patch_t *patch, int32_t at, const void *x, void *y);

/* The same from 8 bits to twice the value in 16, for the kernels of the DSP extension. */
void edgernn_patch_s8_dsp(const edgernn_patch_t *patch, int32_t at, const int8_t *x, int16_t *y);

/* The upper left corner of the window, and which of its rows and columns lie inside the image. */
typedef struct {
  int32_t top, left;
  edgernn_span_t rows, columns;
} edgernn_place_t;

static inline edgernn_place_t edgernn_place(const edgernn_window_t *w, int32_t at) {
  edgernn_place_t place = {-w->pad_y, 0, {0, 0}, {0, 0}};
  EDGERNN_ROLLED
  for (; at >= w->out_width; at -= w->out_width) {
    place.top += w->stride_y;
  }
  place.left = at * w->stride_x - w->pad_x;
  place.rows = edgernn_span(place.top, w->window_height, w->dilation_y, w->height);
  place.columns = edgernn_span(place.left, w->window_width, w->dilation_x, w->width);
  return place;
}

#endif
