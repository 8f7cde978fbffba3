/* Inner products of four rows of 8-bit weights, one after the other, with the same activations. */
#ifndef EDGERNN_DOT_H
#define EDGERNN_DOT_H

#include <stdint.h>

#if defined(__ARM_ARCH_6M__) && defined(__GNUC__)

/* One column of two rows, from the last, so that one index serves all pointers. */
#define EDGERNN_DOT_COLUMN(load)        \
  load "ldrsb %[q], [%[a], %[i]]\n\t"   \
       "muls  %[q], %[p], %[q]\n\t"     \
       "add   r8, %[q]\n\t"             \
       "ldrsb %[q], [%[b], %[i]]\n\t"   \
       "muls  %[q], %[p], %[q]\n\t"     \
       "add   r9, %[q]\n\t"             \
       "subs  %[i], %[i], #1\n\t"

/* Two columns a turn, an odd one alone before: 4.75 instructions a MAC. */
#define EDGERNN_DOT(name, type, load)                                                       \
  static inline void name##_2(const int8_t *a, const int8_t *b, const type *x, int columns, \
                              int32_t *sums) {                                              \
    int32_t p = sums[0], q = sums[1], i = columns - 1;                                      \
    __asm__ volatile(                                                                       \
        ".syntax unified\n\t"                                                               \
        "mov   r8, %[p]\n\t"                                                                \
        "mov   r9, %[q]\n\t"                                                                \
        "lsrs  %[p], %[i], #1\n\t"                                                          \
        "bcs   1f\n\t" EDGERNN_DOT_COLUMN(load)                                             \
        "bmi   2f\n"                                                                        \
        "1:\n\t" EDGERNN_DOT_COLUMN(load) EDGERNN_DOT_COLUMN(load)                          \
        "bpl   1b\n"                                                                        \
        "2:\n\t"                                                                            \
        "mov   %[p], r8\n\t"                                                                \
        "mov   %[q], r9\n\t"                                                                \
        : [p] "+l"(p), [q] "+l"(q), [i] "+l"(i)                                             \
        : [a] "l"(a), [b] "l"(b), [x] "l"(x)                                                \
        : "r8", "r9", "cc", "memory");                                                      \
    sums[0] = p;                                                                            \
    sums[1] = q;                                                                            \
  }                                                                                         \
  static inline void name(const int8_t *w, const type *x, int columns, int32_t *sums) {     \
    for (int k = 0; k < 4; k += 2) {                                                        \
      name##_2(w, w + columns, x, columns, sums + k);                                       \
      w += 2 * columns;                                                                     \
    }                                                                                       \
  }

EDGERNN_DOT(edgernn_dot_s8, int8_t, "ldrsb %[p], [%[x], %[i]]\n\t")
EDGERNN_DOT(edgernn_dot_s16, int16_t, "lsls  %[p], %[i], #1\n\tldrsh %[p], [%[x], %[p]]\n\t")

#undef EDGERNN_DOT_COLUMN

#elif defined(__thumb2__) && defined(__GNUC__)

/* One column of four rows: 2.25 instructions a MAC. */
#define EDGERNN_DOT_COLUMN(load)                    \
  load "ldrsb r12, [%[a], %[columns]]\n\t"          \
       "mla   %[q], r12, lr, %[q]\n\t"              \
       "ldrsb r12, [%[a]], #1\n\t"                  \
       "mla   %[p], r12, lr, %[p]\n\t"              \
       "ldrsb r12, [%[c], %[columns]]\n\t"          \
       "mla   %[s], r12, lr, %[s]\n\t"              \
       "ldrsb r12, [%[c]], #1\n\t"                  \
       "mla   %[r], r12, lr, %[r]\n\t"

#define EDGERNN_DOT_4_COLUMNS(load)                    \
  EDGERNN_DOT_COLUMN(load) EDGERNN_DOT_COLUMN(load)    \
  EDGERNN_DOT_COLUMN(load) EDGERNN_DOT_COLUMN(load)

/* Four columns a turn: what keeps small cores from spending their time on the loop. */
#define EDGERNN_DOT(name, type, load)                                                       \
  static inline void name(const int8_t *w, const type *x, int columns, int32_t *sums) {     \
    const int8_t *a = w, *c = w + 2 * columns;                                              \
    const type *const end = x + columns;                                                    \
    int32_t p = sums[0], q = sums[1], r = sums[2], s = sums[3], rest = columns & 3;         \
    __asm__ volatile(                                                                       \
        "1:\n\t"                                                                            \
        "subs  %[rest], %[rest], #1\n\t"                                                    \
        "bmi   2f\n\t" EDGERNN_DOT_COLUMN(load)                                             \
        "b     1b\n\t"                                                                      \
        "2:\n\t"                                                                            \
        "cmp   %[x], %[end]\n\t"                                                            \
        "beq   4f\n\t"                                                                      \
        "3:\n\t" EDGERNN_DOT_4_COLUMNS(load)                                                \
        "cmp   %[x], %[end]\n\t"                                                            \
        "bne   3b\n\t"                                                                      \
        "4:\n\t"                                                                            \
        : [p] "+r"(p), [q] "+r"(q), [r] "+r"(r), [s] "+r"(s), [a] "+r"(a), [c] "+r"(c),     \
          [x] "+r"(x), [rest] "+r"(rest)                                                    \
        : [end] "r"(end), [columns] "r"(columns)                                            \
        : "r12", "lr", "cc", "memory");                                                     \
    sums[0] = p;                                                                            \
    sums[1] = q;                                                                            \
    sums[2] = r;                                                                            \
    sums[3] = s;                                                                            \
  }

EDGERNN_DOT(edgernn_dot_s8, int8_t, "ldrsb lr, [%[x]], #1\n\t")
EDGERNN_DOT(edgernn_dot_s16, int16_t, "ldrsh lr, [%[x]], #2\n\t")

#undef EDGERNN_DOT_4_COLUMNS
#undef EDGERNN_DOT_COLUMN

#else

/* A plain loop, which compilers for larger cores turn into vector instructions. */
#define EDGERNN_DOT(name, type)                                                             \
  static inline void name(const int8_t *w, const type *x, int columns, int32_t *sums) {     \
    for (int k = 0; k < 4; k++) {                                                           \
      int32_t sum = sums[k];                                                                \
      for (int i = 0; i < columns; i++) {                                                   \
        sum += w[i] * x[i];                                                                 \
      }                                                                                     \
      sums[k] = sum;                                                                        \
      w += columns;                                                                         \
    }                                                                                       \
  }

EDGERNN_DOT(edgernn_dot_s8, int8_t)
EDGERNN_DOT(edgernn_dot_s16, int16_t)

#endif

#undef EDGERNN_DOT

#endif
