#include "edgernn_dot_dsp.h"
#include "edgernn_kernels.h"

/*
 * Rescales the sum of one row and stores it. The words behind the weights of four rows are a
 * multiplier (r8), a shift to the left (r9), 2^bits (r10) and bits + 1 (r11): the product is shifted
 * right by `bits`, rounded half away from zero, which (2 x + 2^bits - (x < 0)) / 2^(bits + 1) is even
 * for no bits at all.
 */
#define REQUANTIZE(sum)                                   \
  "lsl    %[" sum "], %[" sum "], r9\n\t"                 \
  "smmulr %[" sum "], %[" sum "], r8\n\t"                 \
  "add    r12, r10, %[" sum "], asr #31\n\t"              \
  "add    %[" sum "], r12, %[" sum "], lsl #1\n\t"        \
  "asr    %[" sum "], %[" sum "], r11\n\t"                \
  "ssat   %[" sum "], #16, %[" sum "]\n\t"                \
  "strh   %[" sum "], [lr], #2\n\t"

/* The number of rows is a multiple of 4. Activations and biases are doubled. */
void edgernn_fully_connected_s8_s16_dsp(const edgernn_fully_connected_dsp_t *fc, const int16_t *x,
                                        int16_t *y) {
  const uint32_t *w = fc->stream;
  const int16_t *const end = x + fc->columns, *p;
  int32_t bytes = 2 * fc->columns, unused = 0;
  int16_t *y_end = y + fc->rows;
  __asm__ volatile(
      EDGERNN_SPILL "0:\n\t" EDGERNN_DOT_4_ROWS
      "ldmia  %[w]!, {r8, r9, r10, r11}\n\t"
      "ldr    lr, [sp]\n\t"
      REQUANTIZE("a") REQUANTIZE("b") REQUANTIZE("c") REQUANTIZE("d")
      "ldr    r12, [sp, #8]\n\t"
      "str    lr, [sp]\n\t"
      "cmp    lr, r12\n\t"
      "bne    0b\n\t" EDGERNN_UNSPILL
      : [w] "+r"(w), [x] "=&r"(p), [a] "+r"(y), [b] "+r"(bytes), [c] "+r"(y_end), [d] "+r"(unused)
      : [end] "r"(end)
      : "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}
