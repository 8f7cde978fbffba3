#include "edgernn_conv.h"

/* The sum of one row of weights over the window at (top, left). */
static int64_t sum_at(const edgernn_conv_t *conv, const int8_t *weights, const int8_t *image,
                      int32_t top, int32_t left) {
  const edgernn_window_t *const w = &conv->window;
  const edgernn_span_t rows = edgernn_span(top, w->window_height, w->dilation_y, w->height);
  const edgernn_span_t columns = edgernn_span(left, w->window_width, w->dilation_x, w->width);
  int64_t sum = 0;
  for (int32_t i = rows.from; i < rows.to; i++) {
    for (int32_t j = columns.from; j < columns.to; j++) {
      const int32_t at = (top + i * w->dilation_y) * w->width + left + j * w->dilation_x;
      const int8_t *const x = image + at * w->depth;
      const int8_t *const v = weights + (i * w->window_width + j) * conv->group_depth;
      for (int32_t k = 0; k < conv->group_depth; k++) {
        sum += v[k] * (x[k] - conv->input_zero_point);
      }
    }
  }
  return sum;
}

void edgernn_conv_s8(const edgernn_conv_t *conv, const int8_t *x, int8_t *y) {
  const edgernn_window_t *const w = &conv->window;
  const int32_t row_size = w->window_height * w->window_width * conv->group_depth;
  for (int32_t batch = 0; batch < w->batches; batch++) {
    const int8_t *const image = x + batch * w->height * w->width * w->depth;
    for (int32_t at = 0; at < w->out_height * w->out_width; at++) {
      const int32_t top = at / w->out_width * w->stride_y - w->pad_y;
      const int32_t left = at % w->out_width * w->stride_x - w->pad_x;
      for (int32_t row = 0; row < conv->out_depth; row++) {
        const int8_t *const group = image + row / conv->group_rows * conv->group_depth;
        const int64_t sum =
            sum_at(conv, conv->weights + row * row_size, group, top, left) + conv->bias[row];
        const int32_t multiplier = conv->multiplier[row * conv->step];
        const int shift = conv->shift[row * conv->step];
        const int32_t value = conv->narrow ? edgernn_rescale((int32_t)sum, multiplier,
                                                             edgernn_max(shift, 0),
                                                             edgernn_max(-shift, 0))
                                           : edgernn_rescale_wide(sum, multiplier, 15 - shift);
        *y++ = (int8_t)edgernn_clamp(value + conv->zero_point, conv->low, conv->high);
      }
    }
  }
}
