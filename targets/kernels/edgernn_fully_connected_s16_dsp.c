#include "edgernn_dot_dsp.h"
#include "edgernn_kernels.h"

/*
 * Some blocks of 4 rows. The words behind their weights are multipliers, which bring the result to
 * the upper half of the product. Returns the words behind the blocks.
 */
static __attribute__((noinline)) const uint32_t *blocks(const uint32_t *w, const int16_t *end,
                                                        int32_t bytes, int16_t *y,
                                                        int16_t *y_end) {
  const int16_t *x;
  int32_t unused = 0;
  __asm__ volatile(
      EDGERNN_SPILL "0:\n\t" EDGERNN_DOT_4_ROWS
      "ldmia  %[w]!, {r8, r9, r10, r11}\n\t"
      "ldr    lr, [sp]\n\t"
      "smmulr %[a], %[a], r8\n\t"
      "smmulr %[b], %[b], r9\n\t"
      "smmulr %[c], %[c], r10\n\t"
      "smmulr %[d], %[d], r11\n\t"
      "ssat   %[a], #16, %[a]\n\t"
      "ssat   %[b], #16, %[b]\n\t"
      "ssat   %[c], #16, %[c]\n\t"
      "ssat   %[d], #16, %[d]\n\t"
      "strh   %[a], [lr], #2\n\t"
      "strh   %[b], [lr], #2\n\t"
      "strh   %[c], [lr], #2\n\t"
      "strh   %[d], [lr], #2\n\t"
      "ldr    r12, [sp, #8]\n\t"
      "str    lr, [sp]\n\t"
      "cmp    lr, r12\n\t"
      "bne    0b\n\t" EDGERNN_UNSPILL
      : [w] "+r"(w), [x] "=&r"(x), [a] "+r"(y), [b] "+r"(bytes), [c] "+r"(y_end), [d] "+r"(unused)
      : [end] "r"(end)
      : "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
  return w;
}

void edgernn_fully_connected_s16_dsp(const edgernn_fully_connected_dsp_t *fc, const int16_t *x,
                                     int16_t *y) {
  const int16_t *const end = x + fc->columns;
  const int32_t bytes = 2 * fc->columns;
  int16_t *const y_end = y + fc->rows;
  const uint32_t *const w = blocks(fc->stream, end, bytes, y, y + (fc->rows & ~3));
  if (fc->rows % 4 != 0) {
    (void)blocks(w, end, bytes, y_end - 4, y_end);
  }
}
