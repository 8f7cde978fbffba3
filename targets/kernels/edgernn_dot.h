/* Inner products of 8-bit weights with activations, two rows at a time. */
#ifndef EDGERNN_DOT_H
#define EDGERNN_DOT_H

#include <stdint.h>

#define EDGERNN_DOT(name, type)                                                               \
  static inline void name(const int8_t *a, const int8_t *b, const type *x, int columns,       \
                          int32_t *sum_a, int32_t *sum_b) {                                   \
    int32_t p = *sum_a, q = *sum_b;                                                           \
    for (int i = 0; i < columns; i++) {                                                       \
      p += a[i] * x[i];                                                                       \
      q += b[i] * x[i];                                                                       \
    }                                                                                         \
    *sum_a = p;                                                                               \
    *sum_b = q;                                                                               \
  }

EDGERNN_DOT(edgernn_dot_s8, int8_t)
EDGERNN_DOT(edgernn_dot_s16, int16_t)

#undef EDGERNN_DOT

#endif
