#include "edgernn_fixedpoint.h"
#include "edgernn_kernels.h"

static int32_t lookup(const int16_t *table, int32_t x) {
  const int16_t *const entry = table + 256 + (x >> 7);
  const int32_t slope = entry[1] - entry[0];
  return entry[0] + ((slope * (x & 127) + 64) >> 7);
}

/* Interpolates exp over [-10, 0] and 1 / (1 + x) over [0, 1] in tables of 513 entries. */
void edgernn_softmax_s16(const int16_t exp_table[513], const int16_t inverse_table[513],
                         int32_t multiplier, int32_t shift, int32_t rows, int32_t columns,
                         const int16_t *x, int16_t *y) {
  const int left = shift > 0 ? shift : 0, right = shift > 0 ? 0 : -shift;
  for (int32_t row = 0; row < rows; row++) {
    int32_t largest = INT16_MIN;
    for (int32_t i = 0; i < columns; i++) {
      largest = edgernn_max(largest, x[i]);
    }
    int32_t sum = 0;
    for (int32_t i = 0; i < columns; i++) {
      const int32_t difference = edgernn_rescale(x[i] - largest, multiplier, left, right);
      const int32_t centred = edgernn_clamp(difference + INT16_MAX, INT16_MIN, INT16_MAX);
      y[i] = (int16_t)lookup(exp_table, centred);
      sum += y[i];
    }
    const int zeros = edgernn_leading_zeros((uint32_t)sum);
    const int32_t shifted = (int32_t)((((int64_t)sum << (zeros - 1)) + (1 << 13)) >> 14);
    const int32_t centred = edgernn_clamp(shifted - 0x18000, INT16_MIN, INT16_MAX);
    const int32_t inverse = lookup(inverse_table, centred);
    const int bits = 31 - zeros;
    for (int32_t i = 0; i < columns; i++) {
      const int64_t product = (int64_t)y[i] * inverse + ((int64_t)1 << (bits - 1));
      y[i] = (int16_t)edgernn_clamp((int32_t)(product >> bits), 0, INT16_MAX);
    }
    x += columns;
    y += columns;
  }
}
