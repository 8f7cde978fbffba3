/*
 * Inner products on cores with the DSP extension (Cortex-M4, M7, M33).
 *
 * Weights come in blocks of 4 rows by 4 columns: one word a row, whose bytes 0, 2, 1, 3 are
 * columns 0, 1, 2, 3. SXTB16 then gives columns 0 and 1, and after a rotation columns 2 and 3,
 * which are the pairs in which 16-bit activations lie in memory.
 */
#ifndef EDGERNN_DOT_DSP_H
#define EDGERNN_DOT_DSP_H

#include <arm_acle.h>
#include <stdint.h>

static inline int16x2_t edgernn_load_pair(const int16_t *x) {
  int16x2_t pair;
  __builtin_memcpy(&pair, x, sizeof pair);
  return pair;
}

static inline int32_t edgernn_mac4(int32_t sum, uint32_t w, int16x2_t x01, int16x2_t x23) {
  sum = __smlad(__sxtb16((int8x4_t)w), x01, sum);
  return __smlad(__sxtb16((int8x4_t)__ror(w, 8)), x23, sum);
}

/* Adds 4 rows times x to sums; returns the weights of the next block. */
static inline const uint32_t *edgernn_dot4_dsp(const uint32_t *w, const int16_t *x, int columns,
                                               int32_t sums[4]) {
  int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
  const int16_t *const end = x + columns;
  do {
    const int16x2_t x01 = edgernn_load_pair(x), x23 = edgernn_load_pair(x + 2);
    a = edgernn_mac4(a, w[0], x01, x23);
    b = edgernn_mac4(b, w[1], x01, x23);
    c = edgernn_mac4(c, w[2], x01, x23);
    d = edgernn_mac4(d, w[3], x01, x23);
    w += 4;
    x += 4;
  } while (x < end);
  sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
  return w;
}

#endif
