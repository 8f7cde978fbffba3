/* Inner products of 8-bit weights with activations, two rows at a time. */
#ifndef EDGERNN_DOT_H
#define EDGERNN_DOT_H

#include <stdint.h>

#if defined(__ARM_ARCH_6M__)

/* Eight registers: one row after the other, four columns a turn. */
#define EDGERNN_DOT(name, type)                                                         \
  static inline int32_t name##_row(const int8_t *a, const type *x, int columns) {       \
    const type *const fours = x + (columns & ~3);                                       \
    int32_t p = 0;                                                                      \
    for (; x != fours; a += 4, x += 4) {                                                \
      p += a[0] * x[0];                                                                 \
      p += a[1] * x[1];                                                                 \
      p += a[2] * x[2];                                                                 \
      p += a[3] * x[3];                                                                 \
    }                                                                                   \
    for (int i = 0; i < (columns & 3); i++) {                                           \
      p += a[i] * x[i];                                                                 \
    }                                                                                   \
    return p;                                                                           \
  }                                                                                     \
                                                                                        \
  static inline void name(const int8_t *a, const int8_t *b, const type *x, int columns, \
                          int32_t *sum_a, int32_t *sum_b) {                             \
    *sum_a += name##_row(a, x, columns);                                                \
    *sum_b += name##_row(b, x, columns);                                                \
  }

#elif defined(__thumb__)

/* Four columns a turn: what keeps small cores from spending their time on the loop. */
#define EDGERNN_DOT(name, type)                                                         \
  static inline void name(const int8_t *a, const int8_t *b, const type *x, int columns, \
                          int32_t *sum_a, int32_t *sum_b) {                             \
    const type *const end = x + columns;                                                \
    const type *const fours = x + (columns & ~3);                                       \
    int32_t p = *sum_a, q = *sum_b;                                                     \
    for (; x != fours; a += 4, b += 4, x += 4) {                                        \
      const int32_t x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];                         \
      p += a[0] * x0;                                                                   \
      q += b[0] * x0;                                                                   \
      p += a[1] * x1;                                                                   \
      q += b[1] * x1;                                                                   \
      p += a[2] * x2;                                                                   \
      q += b[2] * x2;                                                                   \
      p += a[3] * x3;                                                                   \
      q += b[3] * x3;                                                                   \
    }                                                                                   \
    for (; x != end; a++, b++, x++) {                                                   \
      p += *a * *x;                                                                     \
      q += *b * *x;                                                                     \
    }                                                                                   \
    *sum_a = p;                                                                         \
    *sum_b = q;                                                                         \
  }

#else

/* A plain loop, which compilers for larger cores turn into vector instructions. */
#define EDGERNN_DOT(name, type)                                                         \
  static inline void name(const int8_t *a, const int8_t *b, const type *x, int columns, \
                          int32_t *sum_a, int32_t *sum_b) {                             \
    int32_t p = *sum_a, q = *sum_b;                                                     \
    for (int i = 0; i < columns; i++) {                                                 \
      p += a[i] * x[i];                                                                 \
      q += b[i] * x[i];                                                                 \
    }                                                                                   \
    *sum_a = p;                                                                         \
    *sum_b = q;                                                                         \
  }

#endif

EDGERNN_DOT(edgernn_dot_s8, int8_t)
EDGERNN_DOT(edgernn_dot_s16, int16_t)

#undef EDGERNN_DOT

#endif
