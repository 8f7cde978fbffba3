#include "edgernn_conv.h"

void edgernn_max_pool_s8(const edgernn_pool_t *pool, const int8_t *x, int8_t *y) {
  const edgernn_window_t *const w = &pool->window;
  for (int32_t batch = 0; batch < w->batches; batch++) {
    const int8_t *const image = x + batch * w->height * w->width * w->depth;
    for (int32_t at = 0; at < w->out_height * w->out_width; at++) {
      const int32_t top = at / w->out_width * w->stride_y - w->pad_y;
      const int32_t left = at % w->out_width * w->stride_x - w->pad_x;
      const edgernn_span_t rows = edgernn_span(top, w->window_height, 1, w->height);
      const edgernn_span_t columns = edgernn_span(left, w->window_width, 1, w->width);
      for (int32_t channel = 0; channel < w->depth; channel++) {
        int32_t largest = INT8_MIN;
        for (int32_t i = top + rows.from; i < top + rows.to; i++) {
          for (int32_t j = left + columns.from; j < left + columns.to; j++) {
            largest = edgernn_max(largest, image[(i * w->width + j) * w->depth + channel]);
          }
        }
        *y++ = (int8_t)edgernn_clamp(largest, pool->low, pool->high);
      }
    }
  }
}
