#include "edgernn_batch_matmul.h"

static float row_times_column(const edgernn_batch_matmul_t *m, const float *a, const float *b) {
  float sum = 0.0f;
  for (int32_t i = 0; i < m->depth; i++) {
    sum += *a * *b;
    a += m->a_step;
    b += m->b_step;
  }
  return sum;
}

void edgernn_batch_matmul_f32(const edgernn_batch_matmul_t *shape, const float *a, const float *b,
                              float *y) {
  for (int32_t batch = 0; batch < shape->batches; batch++) {
    for (int32_t row = 0; row < shape->rows; row++) {
      const float *const x = a + batch * shape->a_batch + row * shape->a_row;
      const float *column = b + batch * shape->b_batch;
      for (int32_t left = shape->columns; left > 0; left--) {
        *y++ = row_times_column(shape, x, column);
        column += shape->b_column;
      }
    }
  }
}
