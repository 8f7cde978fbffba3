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

#elif defined(__thumb2__) && defined(__GNUC__)

/* One column of two rows: 2.5 instructions a MAC. */
#define EDGERNN_DOT_COLUMN(load)          \
  load "ldrsb r12, [%[a]], #1\n\t"        \
       "mla   %[p], r12, lr, %[p]\n\t"    \
       "ldrsb r12, [%[b]], #1\n\t"        \
       "mla   %[q], r12, lr, %[q]\n\t"

#define EDGERNN_DOT_4_COLUMNS(load)                    \
  EDGERNN_DOT_COLUMN(load) EDGERNN_DOT_COLUMN(load)    \
  EDGERNN_DOT_COLUMN(load) EDGERNN_DOT_COLUMN(load)

/* Eight columns a turn: what keeps small cores from spending their time on the loop. */
#define EDGERNN_DOT(name, type, load)                                                   \
  static inline void name(const int8_t *a, const int8_t *b, const type *x, int columns, \
                          int32_t *sum_a, int32_t *sum_b) {                             \
    const type *const end = x + columns;                                                \
    int32_t p = *sum_a, q = *sum_b, rest = columns & 7;                                 \
    __asm__ volatile(                                                                   \
        "1:\n\t"                                                                        \
        "subs  %[rest], %[rest], #1\n\t"                                                \
        "bmi   2f\n\t" EDGERNN_DOT_COLUMN(load)                                         \
        "b     1b\n\t"                                                                  \
        "2:\n\t"                                                                        \
        "cmp   %[x], %[end]\n\t"                                                        \
        "beq   4f\n\t"                                                                  \
        "3:\n\t" EDGERNN_DOT_4_COLUMNS(load) EDGERNN_DOT_4_COLUMNS(load)                \
        "cmp   %[x], %[end]\n\t"                                                        \
        "bne   3b\n\t"                                                                  \
        "4:\n\t"                                                                        \
        : [p] "+r"(p), [q] "+r"(q), [a] "+r"(a), [b] "+r"(b), [x] "+r"(x),              \
          [rest] "+r"(rest)                                                             \
        : [end] "r"(end)                                                                \
        : "r12", "lr", "cc", "memory");                                                 \
    *sum_a = p;                                                                         \
    *sum_b = q;                                                                         \
  }

EDGERNN_DOT(edgernn_dot_s8, int8_t, "ldrsb lr, [%[x]], #1\n\t")
EDGERNN_DOT(edgernn_dot_s16, int16_t, "ldrsh lr, [%[x]], #2\n\t")

#undef EDGERNN_DOT_4_COLUMNS
#undef EDGERNN_DOT_COLUMN

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

EDGERNN_DOT(edgernn_dot_s8, int8_t)
EDGERNN_DOT(edgernn_dot_s16, int16_t)

#endif

#undef EDGERNN_DOT

#endif
