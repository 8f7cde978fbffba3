#include "edgernn_patch.h"

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>
#endif

static uint8_t *fill(uint8_t *y, int32_t count, int32_t value) {
  EDGERNN_ROLLED
  for (; count > 0; count--) {
    *y++ = (uint8_t)value;
  }
  return y;
}

static inline uint8_t *copy(uint8_t *y, const uint8_t *x, int32_t count) {
#if defined(__ARM_FEATURE_MVE)
  for (; count > 0; count -= 16, x += 16) {
    const mve_pred16_t some = vctp8q((uint32_t)count);
    vstrbq_p_u8(y, vldrbq_z_u8(x, some), some);
    y += edgernn_min(count, 16);
  }
#elif defined(__ARM_FEATURE_UNALIGNED) && defined(__GNUC__)
  typedef struct {
    uint32_t bits;
  } __attribute__((packed, may_alias)) word;
  for (; count >= 4; count -= 4, x += 4, y += 4) {
    ((word *)(void *)y)->bits = ((const word *)(const void *)x)->bits;
  }
#endif
  EDGERNN_ROLLED
  for (; count > 0; count--) {
    *y++ = *x++;
  }
  return y;
}

void edgernn_patch(const edgernn_patch_t *patch, int32_t at, const void *x, void *y) {
  const edgernn_window_t *const w = &patch->window;
  const edgernn_place_t place = edgernn_place(w, at);
  const int32_t from = place.columns.from, to = place.columns.to;
  const int32_t points = w->dilation_x == 1 ? to - from : 1; /* that lie side by side */
  uint8_t *out = (uint8_t *)y;
  EDGERNN_ROLLED
  for (int32_t i = 0; i < w->window_height; i++) {
    if (i < place.rows.from || i >= place.rows.to) {
      out = fill(out, w->window_width * w->depth, patch->zero_point);
      continue;
    }
    const int32_t row = (place.top + i * w->dilation_y) * w->width + place.left;
    out = fill(out, from * w->depth, patch->zero_point);
    EDGERNN_ROLLED
    for (int32_t j = from; j < to; j += points) {
      const int32_t point = row + j * w->dilation_x;
      out = copy(out, (const uint8_t *)x + point * w->depth, points * w->depth);
    }
    out = fill(out, (w->window_width - to) * w->depth, patch->zero_point);
  }
}
