/* Inner products of 8-bit weights with activations, two rows at a time. */
#ifndef EDGERNN_DOT_H
#define EDGERNN_DOT_H

#include <stdint.h>

#if defined(__ARM_ARCH_6M__) && defined(__GNUC__)

/* One column a turn, from the last, so that one index serves all pointers: 5 instructions a MAC. */
#define EDGERNN_DOT(name, type, load)                                                   \
  static inline void name(const int8_t *a, const int8_t *b, const type *x, int columns, \
                          int32_t *sum_a, int32_t *sum_b) {                             \
    int32_t p = *sum_a, q = *sum_b, i = columns - 1;                                    \
    __asm__ volatile(                                                                   \
        ".syntax unified\n\t"                                                           \
        "mov   r8, %[p]\n\t"                                                            \
        "mov   r9, %[q]\n"                                                              \
        "1:\n\t" load                                                                   \
        "ldrsb %[q], [%[a], %[i]]\n\t"                                                  \
        "muls  %[q], %[p], %[q]\n\t"                                                    \
        "add   r8, %[q]\n\t"                                                            \
        "ldrsb %[q], [%[b], %[i]]\n\t"                                                  \
        "muls  %[q], %[p], %[q]\n\t"                                                    \
        "add   r9, %[q]\n\t"                                                            \
        "subs  %[i], %[i], #1\n\t"                                                      \
        "bpl   1b\n\t"                                                                  \
        "mov   %[p], r8\n\t"                                                            \
        "mov   %[q], r9\n\t"                                                            \
        : [p] "+l"(p), [q] "+l"(q), [i] "+l"(i)                                         \
        : [a] "l"(a), [b] "l"(b), [x] "l"(x)                                            \
        : "r8", "r9", "cc", "memory");                                                  \
    *sum_a = p;                                                                         \
    *sum_b = q;                                                                         \
  }

EDGERNN_DOT(edgernn_dot_s8, int8_t, "ldrsb %[p], [%[x], %[i]]\n\t")
EDGERNN_DOT(edgernn_dot_s16, int16_t, "lsls  %[p], %[i], #1\n\tldrsh %[p], [%[x], %[p]]\n\t")

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

#if !(defined(__ARM_ARCH_6M__) && defined(__GNUC__))
EDGERNN_DOT(edgernn_dot_s8, int8_t)
EDGERNN_DOT(edgernn_dot_s16, int16_t)
#endif

#undef EDGERNN_DOT

#endif
