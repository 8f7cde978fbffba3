#include <arm_mve.h>

#include "edgernn_kernels.h"

/*
 * For cores with Helium: 4 rows at a time, 8 columns a vector. A block of the stream holds 4
 * biases, for every 8 columns 8 weights of each row, and 4 multipliers, which bring the result to
 * the upper half of the product. The last block ends with the last row, so it may repeat rows.
 */
void edgernn_fully_connected_s16_mve(const edgernn_fully_connected_dsp_t *fc, const int16_t *x,
                                     int16_t *y) {
  const int32_t vectors = fc->columns / 8;
  int16_t *const last = y + fc->rows - 4;
  const int8_t *w = (const int8_t *)fc->stream;
  for (;; y += 4) {
    const int32_t *const bias = (const int32_t *)(const void *)w;
    int32_t a = bias[0], b = bias[1], c = bias[2], d = bias[3], i = vectors;
    const int16_t *p = x;
    w += 16;
    do {
      const int16x8_t v = vldrhq_s16(p);
      a = vmladavaq_s16(a, v, vldrbq_s16(w));
      b = vmladavaq_s16(b, v, vldrbq_s16(w + 8));
      c = vmladavaq_s16(c, v, vldrbq_s16(w + 16));
      d = vmladavaq_s16(d, v, vldrbq_s16(w + 24));
      p += 8;
      w += 32;
    } while (--i > 0);
    const int32x4_t sums = {a, b, c, d};
    const int32x4_t scaled = vrmulhq_s32(sums, vldrwq_s32((const int32_t *)(const void *)w));
    w += 16;
    y = y < last ? y : last;
    const int16x8_t saturated = vqmovnbq_s32(vreinterpretq_s16_s32(scaled), scaled);
    vstrhq_s32(y, vreinterpretq_s32_s16(saturated));
    if (y == last) {
      return;
    }
  }
}
