#include "edgernn_patch.h"

static int16_t *fill(int16_t *y, int32_t count, int32_t value) {
  EDGERNN_ROLLED
  for (; count > 0; count--) {
    *y++ = (int16_t)value;
  }
  return y;
}

/* Four values of 8 bits, doubled, as two words. */
#define WIDEN_4                       \
  "ldr    r12, [%[x]], #4\n\t"        \
  "sxtb16 %[a], r12\n\t"              \
  "sxtb16 r12, r12, ror #8\n\t"       \
  "sadd16 %[a], %[a], %[a]\n\t"       \
  "sadd16 r12, r12, r12\n\t"          \
  "pkhbt  %[b], %[a], r12, lsl #16\n\t" \
  "pkhtb  r12, r12, %[a], asr #16\n\t" \
  "str    %[b], [%[y]], #4\n\t"       \
  "str    r12, [%[y]], #4\n\t"

static inline int16_t *widen(int16_t *y, const int8_t *x, int32_t count) {
  const int8_t *const end = x + (count & ~3);
  if (x != end) {
    int32_t a, b;
    __asm__ volatile("1:\n\t" WIDEN_4
                     "cmp    %[x], %[end]\n\t"
                     "bne    1b\n\t"
                     : [x] "+r"(x), [y] "+r"(y), [a] "=&r"(a), [b] "=&r"(b)
                     : [end] "r"(end)
                     : "r12", "cc", "memory");
  }
  EDGERNN_ROLLED
  for (count &= 3; count > 0; count--) {
    *y++ = (int16_t)(2 * *x++);
  }
  return y;
}

void edgernn_patch_s8_dsp(const edgernn_patch_t *patch, int32_t at, const int8_t *x, int16_t *y) {
  const edgernn_window_t *const w = &patch->window;
  const edgernn_place_t place = edgernn_place(w, at);
  const int32_t from = place.columns.from, to = place.columns.to;
  const int32_t points = w->dilation_x == 1 ? to - from : 1; /* that lie side by side */
  EDGERNN_ROLLED
  for (int32_t i = 0; i < w->window_height; i++) {
    if (i < place.rows.from || i >= place.rows.to) {
      y = fill(y, w->window_width * w->depth, 2 * patch->zero_point);
      continue;
    }
    const int32_t row = (place.top + i * w->dilation_y) * w->width + place.left;
    y = fill(y, from * w->depth, 2 * patch->zero_point);
    EDGERNN_ROLLED
    for (int32_t j = from; j < to; j += points) {
      y = widen(y, x + (row + j * w->dilation_x) * w->depth, points * w->depth);
    }
    y = fill(y, (w->window_width - to) * w->depth, 2 * patch->zero_point);
  }
}
