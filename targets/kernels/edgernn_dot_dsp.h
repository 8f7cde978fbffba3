/*
 * Inner products on cores with the DSP extension (Cortex-M4, M7, M33), for GCC and Clang.
 *
 * A layer is a stream of words, 4 rows after 4 rows: their biases, their weights, and what
 * rescales their sums. The weights of 4 columns are one word a row, whose bytes 0, 2, 1, 3 are
 * columns 0, 1, 2, 3: SXTB16 gives columns 0 and 1, and after a rotation columns 2 and 3, which
 * are the pairs in which 16-bit activations lie in memory. Columns are padded to a multiple of 8
 * with zeros. The last 4 rows end with the last row, so they may repeat rows of those before.
 */
#ifndef EDGERNN_DOT_DSP_H
#define EDGERNN_DOT_DSP_H

#include <stdint.h>

/* 4 rows by 4 columns: 16 products in 19 instructions. */
#define EDGERNN_DOT_4X4                  \
  "ldmia  %[w]!, {r8, r9, r10, r11}\n\t" \
  "ldr    r12, [%[x]], #4\n\t"           \
  "sxtb16 lr, r8\n\t"                    \
  "smlad  %[a], lr, r12, %[a]\n\t"       \
  "sxtb16 lr, r9\n\t"                    \
  "smlad  %[b], lr, r12, %[b]\n\t"       \
  "sxtb16 lr, r10\n\t"                   \
  "smlad  %[c], lr, r12, %[c]\n\t"       \
  "sxtb16 lr, r11\n\t"                   \
  "smlad  %[d], lr, r12, %[d]\n\t"       \
  "ldr    r12, [%[x]], #4\n\t"           \
  "sxtb16 lr, r8, ror #8\n\t"            \
  "smlad  %[a], lr, r12, %[a]\n\t"       \
  "sxtb16 lr, r9, ror #8\n\t"            \
  "smlad  %[b], lr, r12, %[b]\n\t"       \
  "sxtb16 lr, r10, ror #8\n\t"           \
  "smlad  %[c], lr, r12, %[c]\n\t"       \
  "sxtb16 lr, r11, ror #8\n\t"           \
  "smlad  %[d], lr, r12, %[d]\n\t"

/* Four values of a kernel that its registers have no room for, while they hold sums. */
#define EDGERNN_SPILL                \
  "sub    sp, sp, #16\n\t"           \
  "strd   %[a], %[b], [sp]\n\t"      \
  "strd   %[c], %[d], [sp, #8]\n\t"

#define EDGERNN_UNSPILL "add    sp, sp, #16\n\t"

/*
 * All columns of 4 rows: their biases at w, the activations before end, which are as many bytes as
 * spilled in b. Leaves the sums in a, b, c, d and w behind the weights. 16 columns a turn; an odd
 * number of eights starts in the middle.
 */
#define EDGERNN_DOT_4_ROWS                           \
  "ldr    lr, [sp, #4]\n\t"                          \
  "ldrd   %[a], %[b], [%[w]], #8\n\t"                \
  "ldrd   %[c], %[d], [%[w]], #8\n\t"                \
  "sub    %[x], %[end], lr\n\t"                      \
  "lsls   lr, lr, #27\n\t"                           \
  "bne    2f\n"                                      \
  "1:\n\t" EDGERNN_DOT_4X4 EDGERNN_DOT_4X4           \
  "2:\n\t" EDGERNN_DOT_4X4 EDGERNN_DOT_4X4           \
  "cmp    %[x], %[end]\n\t"                          \
  "bne    1b\n\t"

#endif
