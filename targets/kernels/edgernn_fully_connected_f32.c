#include "edgernn_float.h"

#include <stddef.h>

/* Four partial sums, which need not wait for each other. */
static float dot(const float *a, const float *b, int32_t n) {
  float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  int32_t i = 0;
  for (; i + 4 <= n; i += 4) {
    sum[0] += a[i] * b[i];
    sum[1] += a[i + 1] * b[i + 1];
    sum[2] += a[i + 2] * b[i + 2];
    sum[3] += a[i + 3] * b[i + 3];
  }
  for (; i < n; i++) {
    sum[0] += a[i] * b[i];
  }
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

void edgernn_fully_connected_f32(const edgernn_fully_connected_f32_t *fc, const float *x,
                                 float *y) {
  for (int32_t batch = 0; batch < fc->batches; batch++) {
    const float *row = fc->weights;
    for (int32_t i = 0; i < fc->rows; i++) {
      const float sum = dot(row, x, fc->columns) + (fc->bias != NULL ? fc->bias[i] : 0.0f);
      *y++ = sum < fc->low ? fc->low : sum > fc->high ? fc->high : sum;
      row += fc->columns;
    }
    x += fc->columns;
  }
}
