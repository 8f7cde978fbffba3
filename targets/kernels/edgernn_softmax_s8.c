#include "edgernn_fixedpoint.h"
#include "edgernn_kernels.h"

/* `exp_table` holds exp of every difference from the largest element, in Q0.31. */
void edgernn_softmax_s8(const int32_t exp_table[256], int32_t rows, int32_t columns,
                        const int8_t *x, int8_t *y) {
  for (int32_t row = 0; row < rows; row++) {
    int32_t largest = INT8_MIN;
    for (int32_t i = 0; i < columns; i++) {
      largest = edgernn_max(largest, x[i]);
    }
    int32_t sum = 0; /* Q12.19 */
    for (int32_t i = 0; i < columns; i++) {
      sum += edgernn_rounding_shift_by(exp_table[largest - x[i]], 12);
    }
    const int zeros = edgernn_leading_zeros((uint32_t)sum);
    const int32_t scale = edgernn_reciprocal((int32_t)(((uint32_t)sum << zeros) - 0x80000000u));
    for (int32_t i = 0; i < columns; i++) {
      const int32_t value = edgernn_high_mul(scale, exp_table[largest - x[i]]);
      const int32_t scaled = edgernn_rounding_shift_by(value, 35 - zeros) + INT8_MIN;
      y[i] = (int8_t)edgernn_clamp(scaled, INT8_MIN, INT8_MAX);
    }
    x += columns;
    y += columns;
  }
}
