#include "edgernn_batch_matmul.h"
#include "edgernn_math.h"

/* Sums over two columns, which share the loads of a. */
static void dot_two(const edgernn_batch_matmul_t *m, const int16_t *a, const int16_t *b,
                    int64_t sums[2]) {
  const int32_t next = m->b_column, step = m->b_step, a_step = m->a_step;
  int64_t p = 0, q = 0;
  for (int32_t left = m->depth; left > 0; left--) {
    const int32_t x = *a;
    p += x * b[0];
    q += x * b[next];
    a += a_step;
    b += step;
  }
  sums[0] = p;
  sums[1] = q;
}

static int64_t dot_one(const edgernn_batch_matmul_t *m, const int16_t *a, const int16_t *b) {
  int64_t sum = 0;
  for (int32_t i = 0; i < m->depth; i++) {
    sum += a[i * m->a_step] * b[i * m->b_step];
  }
  return sum;
}

static inline int16_t requantize(const edgernn_batch_matmul_scale_t *scale, int64_t sum) {
  const int32_t scaled = edgernn_rescale_wide(sum, scale->multiplier, 15 - scale->shift);
  return (int16_t)edgernn_saturate_16(scaled);
}

void edgernn_batch_matmul_s16(const edgernn_batch_matmul_t *shape,
                              const edgernn_batch_matmul_scale_t *scale, const int16_t *a,
                              const int16_t *b, int16_t *y) {
  for (int32_t batch = 0; batch < shape->batches; batch++) {
    for (int32_t row = 0; row < shape->rows; row++) {
      const int16_t *const x = a + batch * shape->a_batch + row * shape->a_row;
      const int16_t *column = b + batch * shape->b_batch;
      int32_t left = shape->columns;
      for (; left >= 2; left -= 2) {
        int64_t sums[2];
        dot_two(shape, x, column, sums);
        *y++ = requantize(scale, sums[0]);
        *y++ = requantize(scale, sums[1]);
        column += 2 * shape->b_column;
      }
      if (left > 0) {
        *y++ = requantize(scale, dot_one(shape, x, column));
      }
    }
  }
}
