#include <arm_mve.h>

#include "edgernn_kernels.h"

/*
 * For cores with Helium: 4 rows at a time, 16 columns a vector and 8 more where they end so. A
 * block of the stream holds 4 biases, for every 16 (or the last 8) columns the weights of each
 * row, 4 multipliers, and 4 shifts to the left, all negative, a byte each. The last block ends
 * with the last row, so it may repeat rows.
 */
void edgernn_fully_connected_s8_mve(const edgernn_fully_connected_dsp_t *fc, const int8_t *x,
                                    int8_t *y) {
  const int32_t vectors = fc->columns / 16, zero_point = fc->zero_point;
  const int odd = fc->columns % 16 != 0;
  int8_t *const last = y + fc->rows - 4;
  const int8_t *w = (const int8_t *)fc->stream;
  for (;; y += 4) {
    const int32_t *const bias = (const int32_t *)(const void *)w;
    int32_t a = bias[0], b = bias[1], c = bias[2], d = bias[3];
    const int8_t *p = x;
    w += 16;
    for (int32_t i = 0; i < vectors; i++, p += 16, w += 64) {
      const int8x16_t v = vldrbq_s8(p);
      a = vmladavaq_s8(a, v, vldrbq_s8(w));
      b = vmladavaq_s8(b, v, vldrbq_s8(w + 16));
      c = vmladavaq_s8(c, v, vldrbq_s8(w + 32));
      d = vmladavaq_s8(d, v, vldrbq_s8(w + 48));
    }
    if (odd) {
      const int16x8_t v = vldrbq_s16(p);
      a = vmladavaq_s16(a, v, vldrbq_s16(w));
      b = vmladavaq_s16(b, v, vldrbq_s16(w + 8));
      c = vmladavaq_s16(c, v, vldrbq_s16(w + 16));
      d = vmladavaq_s16(d, v, vldrbq_s16(w + 24));
      w += 32;
    }
    const int32x4_t sums = {a, b, c, d};
    int32x4_t scaled = vqrdmulhq_s32(sums, vldrwq_s32((const int32_t *)(const void *)w));
    scaled = vrshlq_s32(scaled + (scaled >> 31), vldrbq_s32(w + 16)) + zero_point;
    w += 20;
    /* Saturated to 8 bits at the top of each lane, and back. */
    y = y < last ? y : last;
    vstrbq_s32(y, vshrq_n_s32(vqshlq_n_s32(scaled, 24), 24));
    if (y == last) {
      return;
    }
  }
}
