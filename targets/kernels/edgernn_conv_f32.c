#include "edgernn_conv.h"
#include "edgernn_float.h"

/* The sum of one row of weights over the window at (top, left). */
static float sum_at(const edgernn_conv_f32_t *conv, const float *weights, const float *image,
                    int32_t top, int32_t left) {
  const edgernn_window_t *const w = &conv->window;
  const edgernn_span_t rows = edgernn_span(top, w->window_height, w->dilation_y, w->height);
  const edgernn_span_t columns = edgernn_span(left, w->window_width, w->dilation_x, w->width);
  float sum = 0.0f;
  for (int32_t i = rows.from; i < rows.to; i++) {
    for (int32_t j = columns.from; j < columns.to; j++) {
      const int32_t at = (top + i * w->dilation_y) * w->width + left + j * w->dilation_x;
      const float *const x = image + at * w->depth;
      const float *const v = weights + (i * w->window_width + j) * conv->group_depth;
      for (int32_t k = 0; k < conv->group_depth; k++) {
        sum += v[k] * x[k];
      }
    }
  }
  return sum;
}

void edgernn_conv_f32(const edgernn_conv_f32_t *conv, const float *x, float *y) {
  const edgernn_window_t *const w = &conv->window;
  const int32_t row_size = w->window_height * w->window_width * conv->group_depth;
  for (int32_t batch = 0; batch < w->batches; batch++) {
    const float *const image = x + batch * w->height * w->width * w->depth;
    for (int32_t at = 0; at < w->out_height * w->out_width; at++) {
      const int32_t top = at / w->out_width * w->stride_y - w->pad_y;
      const int32_t left = at % w->out_width * w->stride_x - w->pad_x;
      for (int32_t row = 0; row < conv->out_depth; row++) {
        const float *const group = image + row / conv->group_rows * conv->group_depth;
        const float sum = sum_at(conv, conv->weights + row * row_size, group, top, left);
        *y++ = edgernn_clampf(sum + conv->bias[row], conv->low, conv->high);
      }
    }
  }
}
