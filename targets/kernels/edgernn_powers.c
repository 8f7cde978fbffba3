#include "edgernn_audio.h"

#define SHIFT 10

static inline void put(int32_t *z, int32_t re, int32_t im) {
  const uint64_t power = (uint64_t)((int64_t)re * re + (int64_t)im * im) >> SHIFT;
  z[0] = (int32_t)(uint32_t)power;
  z[1] = (int32_t)(uint32_t)(power >> 32);
}

void edgernn_powers(const edgernn_audio_t *a, int32_t *z) {
  const int32_t half = a->size / 2;
  put(z, (z[0] >> 1) + (z[1] >> 1), 0);
  for (int32_t k = 1; k <= half / 2; k++) {
    int32_t *const x = z + 2 * k;
    int32_t *const y = z + 2 * (half - k);
    const int32_t even_r = (x[0] >> 2) + (y[0] >> 2);
    const int32_t even_i = (x[1] >> 2) - (y[1] >> 2);
    const int32_t odd_r = (x[0] >> 1) - (y[0] >> 1);
    const int32_t odd_i = (x[1] >> 1) + (y[1] >> 1);
    const int32_t wr = a->cosine[k];
    const int32_t wi = a->sine[k];
    const int32_t turned_r = edgernn_mul16(odd_i, wr) + edgernn_mul16(odd_r, wi);
    const int32_t turned_i = edgernn_mul16(odd_r, wr) - edgernn_mul16(odd_i, wi);
    put(y, even_r - turned_r, even_i + turned_i);
    put(x, even_r + turned_r, even_i - turned_i);
  }
}
