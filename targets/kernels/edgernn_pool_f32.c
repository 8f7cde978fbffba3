#include "edgernn_conv.h"
#include "edgernn_float.h"

/* The mean, or the largest value, of one channel over the rows and columns of a window. */
static float pooled(const edgernn_pool_f32_t *pool, const float *x, edgernn_span_t rows,
                    edgernn_span_t columns) {
  const edgernn_window_t *const w = &pool->window;
  float sum = 0.0f, largest = -FLT_MAX;
  for (int32_t i = rows.from; i < rows.to; i++) {
    for (int32_t j = columns.from; j < columns.to; j++) {
      const float value = x[(i * w->width + j) * w->depth];
      sum += value;
      largest = edgernn_maxf(largest, value);
    }
  }
  const int32_t count = (rows.to - rows.from) * (columns.to - columns.from);
  return pool->mean ? sum / (float)count : largest;
}

void edgernn_pool_f32(const edgernn_pool_f32_t *pool, const float *x, float *y) {
  const edgernn_window_t *const w = &pool->window;
  for (int32_t batch = 0; batch < w->batches; batch++) {
    const float *const image = x + batch * w->height * w->width * w->depth;
    for (int32_t at = 0; at < w->out_height * w->out_width; at++) {
      const int32_t top = at / w->out_width * w->stride_y - w->pad_y;
      const int32_t left = at % w->out_width * w->stride_x - w->pad_x;
      edgernn_span_t rows = edgernn_span(top, w->window_height, 1, w->height);
      edgernn_span_t columns = edgernn_span(left, w->window_width, 1, w->width);
      rows.from += top;
      rows.to += top;
      columns.from += left;
      columns.to += left;
      for (int32_t channel = 0; channel < w->depth; channel++) {
        const float value = pooled(pool, image + channel, rows, columns);
        *y++ = edgernn_clampf(value, pool->low, pool->high);
      }
    }
  }
}
