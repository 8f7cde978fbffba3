#include "edgernn_audio.h"

/* a, b = (a + t) / 2, (a - t) / 2, where t / 2 is given. */
static inline void add_and_subtract(int32_t *a, int32_t *b, int32_t tr, int32_t ti) {
  const int32_t ar = a[0] >> 1;
  const int32_t ai = a[1] >> 1;
  a[0] = ar + tr;
  a[1] = ai + ti;
  b[0] = ar - tr;
  b[1] = ai - ti;
}

void edgernn_fft(const edgernn_audio_t *a, int32_t *z) {
  const int32_t half = a->size / 2;
  for (int32_t width = 1; width < half; width *= 2) {
    int32_t *const end = z + 2 * half;
    for (int32_t *x = z; x < end; x += 4 * width) { /* where the factor is 1 */
      int32_t *const y = x + 2 * width;
      add_and_subtract(x, y, y[0] >> 1, y[1] >> 1);
    }
    const int32_t step = half / width;
    for (int32_t k = 1; k < width; k++) {
      const int32_t wr = a->cosine[k * step];
      const int32_t wi = a->sine[k * step];
      for (int32_t *x = z + 2 * k; x < end; x += 4 * width) {
        int32_t *const y = x + 2 * width;
        const int32_t tr = edgernn_mul16(y[0], wr) - edgernn_mul16(y[1], wi);
        const int32_t ti = edgernn_mul16(y[0], wi) + edgernn_mul16(y[1], wr);
        add_and_subtract(x, y, tr, ti);
      }
    }
  }
}
