#include "edgernn_dot_dsp.h"
#include "edgernn_kernels.h"

/* Rescales the sum of one row and stores it: x / 2^(bits + 1), rounded half away from zero. */
#define REQUANTIZE(sum, multiplier)                   \
  "smmulr %[" sum "], %[" sum "], " multiplier "\n\t" \
  "add    %[" sum "], %[" sum "], %[" sum "], asr #31\n\t" \
  "asr    %[" sum "], %[" sum "], r12\n\t"            \
  "add    %[" sum "], %[" sum "], %[x]\n\t"           \
  "ssat   %[" sum "], #8, %[" sum "], asr #1\n\t"     \
  "strb   %[" sum "], [lr], #1\n\t"

/*
 * Some blocks of 4 rows. The words behind their weights are multipliers and then a byte of shift
 * for each row. `zero` is twice the zero point, plus one. Returns the words behind the blocks.
 */
static __attribute__((noinline)) const uint32_t *blocks(const uint32_t *w, const int16_t *end,
                                                        int32_t bytes, int32_t zero,
                                                        int8_t *y, int8_t *y_end) {
  const int16_t *x;
  __asm__ volatile(
      EDGERNN_SPILL "0:\n\t" EDGERNN_DOT_4_ROWS
      "ldmia  %[w]!, {r8, r9, r10, r11}\n\t"
      "ldr    lr, [sp]\n\t"
      "ldr    %[x], [sp, #12]\n\t"
      "ldrb   r12, [%[w]], #1\n\t" REQUANTIZE("a", "r8")
      "ldrb   r12, [%[w]], #1\n\t" REQUANTIZE("b", "r9")
      "ldrb   r12, [%[w]], #1\n\t" REQUANTIZE("c", "r10")
      "ldrb   r12, [%[w]], #1\n\t" REQUANTIZE("d", "r11")
      "ldr    r12, [sp, #8]\n\t"
      "str    lr, [sp]\n\t"
      "cmp    lr, r12\n\t"
      "bne    0b\n\t" EDGERNN_UNSPILL
      : [w] "+r"(w), [x] "=&r"(x), [a] "+r"(y), [b] "+r"(bytes), [c] "+r"(y_end), [d] "+r"(zero)
      : [end] "r"(end)
      : "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
  return w;
}

/* Activations were widened to 16 bits and doubled, and so was the bias. */
void edgernn_fully_connected_s8_dsp(const edgernn_fully_connected_dsp_t *fc, const int16_t *x,
                                    int8_t *y) {
  const int16_t *const end = x + fc->columns;
  const int32_t bytes = 2 * fc->columns, zero = 2 * fc->zero_point + 1;
  int8_t *const y_end = y + fc->rows;
  const uint32_t *const w = blocks(fc->stream, end, bytes, zero, y, y + (fc->rows & ~3));
  if (fc->rows % 4 != 0) {
    (void)blocks(w, end, bytes, zero, y_end - 4, y_end);
  }
}
