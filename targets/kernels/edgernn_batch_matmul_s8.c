#include "edgernn_batch_matmul.h"
#include "edgernn_math.h"

/* Sums of (a - zero) b over four columns, which share the loads of a. */
static void dot_four(const edgernn_batch_matmul_t *m, int32_t zero, const int8_t *a,
                     const int8_t *b, int32_t sums[4]) {
  const int32_t next = m->b_column, step = m->b_step, a_step = m->a_step;
  int32_t p = 0, q = 0, r = 0, s = 0;
  for (int32_t left = m->depth; left > 0; left--) {
    const int32_t x = *a - zero;
    p += x * b[0];
    q += x * b[next];
    r += x * b[2 * next];
    s += x * b[3 * next];
    a += a_step;
    b += step;
  }
  sums[0] = p;
  sums[1] = q;
  sums[2] = r;
  sums[3] = s;
}

static int32_t dot_one(const edgernn_batch_matmul_t *m, int32_t zero, const int8_t *a,
                       const int8_t *b) {
  int32_t sum = 0;
  for (int32_t i = 0; i < m->depth; i++) {
    sum += (a[i * m->a_step] - zero) * b[i * m->b_step];
  }
  return sum;
}

static int32_t row_sum(const edgernn_batch_matmul_t *m, int32_t zero, const int8_t *a) {
  int32_t sum = -m->depth * zero;
  for (int32_t i = 0; i < m->depth; i++) {
    sum += a[i * m->a_step];
  }
  return sum;
}

static inline int8_t requantize(int32_t sum, int32_t multiplier, int left, int right,
                                int32_t zero_point) {
  return (int8_t)edgernn_saturate_8(edgernn_rescale(sum, multiplier, left, right) + zero_point);
}

void edgernn_batch_matmul_s8(const edgernn_batch_matmul_t *shape,
                             const edgernn_batch_matmul_scale_t *scale, const int8_t *a,
                             const int8_t *b, int8_t *y) {
  const int32_t zero = scale->a_zero_point, zero_point = scale->zero_point;
  const int32_t multiplier = scale->multiplier;
  const int up = edgernn_max(scale->shift, 0), down = edgernn_max(-scale->shift, 0);
  for (int32_t batch = 0; batch < shape->batches; batch++) {
    for (int32_t row = 0; row < shape->rows; row++) {
      const int8_t *const x = a + batch * shape->a_batch + row * shape->a_row;
      const int8_t *column = b + batch * shape->b_batch;
      const int32_t offset = row_sum(shape, zero, x) * scale->b_zero_point;
      int32_t left = shape->columns;
      for (; left >= 4; left -= 4) {
        int32_t sums[4];
        dot_four(shape, zero, x, column, sums);
        for (int k = 0; k < 4; k++) {
          *y++ = requantize(sums[k] - offset, multiplier, up, down, zero_point);
        }
        column += 4 * shape->b_column;
      }
      for (; left > 0; left--) {
        const int32_t sum = dot_one(shape, zero, x, column);
        *y++ = requantize(sum - offset, multiplier, up, down, zero_point);
        column += shape->b_column;
      }
    }
  }
}
