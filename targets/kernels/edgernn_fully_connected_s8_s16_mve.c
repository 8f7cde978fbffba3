#include <arm_mve.h>

#include "edgernn_kernels.h"

/*
 * For cores with Helium: 4 rows at a time, 16 columns a vector and 8 more where they end so; the
 * number of rows is a multiple of 4. A block of the stream holds 4 biases, for every 16 (or the last
 * 8) columns the weights of each row, and for all of them a multiplier, a shift to the left, -1 if
 * the product is shifted right, and that shift, negative.
 */
void edgernn_fully_connected_s8_s16_mve(const edgernn_fully_connected_dsp_t *fc, const int8_t *x,
                                        int16_t *y) {
  const int32_t vectors = fc->columns / 16;
  const int odd = fc->columns % 16 != 0;
  const int16_t *const end = y + fc->rows;
  const int8_t *w = (const int8_t *)fc->stream;
  for (; y < end; y += 4) {
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
    const int32_t *const scaling = (const int32_t *)(const void *)w;
    const int32x4_t sums = {a, b, c, d};
    int32x4_t scaled = vqrdmulhq_n_s32(vshlq_r_s32(sums, scaling[1]), scaling[0]);
    scaled = vrshlq_n_s32(scaled + ((scaled >> 31) & scaling[2]), scaling[3]);
    w += 16;
    const int16x8_t saturated = vqmovnbq_s32(vreinterpretq_s16_s32(scaled), scaled);
    vstrhq_s32(y, vreinterpretq_s32_s16(saturated));
  }
}
