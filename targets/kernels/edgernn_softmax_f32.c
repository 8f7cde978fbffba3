#include "edgernn_float.h"

void edgernn_softmax_f32(float beta, int32_t rows, int32_t columns, const float *x, float *y) {
  for (int32_t row = 0; row < rows; row++) {
    float largest = x[0];
    for (int32_t i = 1; i < columns; i++) {
      largest = edgernn_maxf(largest, x[i]);
    }
    float sum = 0.0f;
    for (int32_t i = 0; i < columns; i++) {
      y[i] = edgernn_exp((x[i] - largest) * beta);
      sum += y[i];
    }
    for (int32_t i = 0; i < columns; i++) {
      y[i] /= sum;
    }
    x += columns;
    y += columns;
  }
}
