/* A table of 256 bytes, looked up for many bytes at once. */
#ifndef EDGERNN_LOOKUP_SIMD_H
#define EDGERNN_LOOKUP_SIMD_H

#include "edgernn_simd.h"

#if defined(EDGERNN_AVX512) && defined(__AVX512VBMI__)
#define EDGERNN_LOOKUP_BYTES 64

typedef struct {
  __m512i part[4];
} edgernn_table_t;

EDGERNN_INLINE void edgernn_table_load(edgernn_table_t *table, const int8_t *bytes) {
  for (int i = 0; i < 4; i++) {
    table->part[i] = _mm512_loadu_si512(bytes + 64 * i);
  }
}

/* The instruction minds 7 bits; the sign chooses between two halves. */
EDGERNN_INLINE void edgernn_table_look(const edgernn_table_t *table, const int8_t *x, int8_t *y) {
  const __m512i i = _mm512_loadu_si512(x);
  const __m512i low = _mm512_permutex2var_epi8(table->part[0], i, table->part[1]);
  const __m512i high = _mm512_permutex2var_epi8(table->part[2], i, table->part[3]);
  _mm512_storeu_si512(y, _mm512_mask_blend_epi8(_mm512_movepi8_mask(i), high, low));
}

#elif defined(__aarch64__)
#define EDGERNN_LOOKUP_BYTES 16

typedef struct {
  uint8x16x4_t part[4];
} edgernn_table_t;

EDGERNN_INLINE void edgernn_table_load(edgernn_table_t *table, const int8_t *bytes) {
  for (int i = 0; i < 4; i++) {
    table->part[i] = vld1q_u8_x4((const uint8_t *)bytes + 64 * i);
  }
}

/* An index out of a part's 64 bytes leaves the result as it is. */
EDGERNN_INLINE void edgernn_table_look(const edgernn_table_t *table, const int8_t *x, int8_t *y) {
  const uint8x16_t i = veorq_u8(vreinterpretq_u8_s8(vld1q_s8(x)), vdupq_n_u8(128));
  uint8x16_t result = vqtbl4q_u8(table->part[0], i);
  result = vqtbx4q_u8(result, table->part[1], vsubq_u8(i, vdupq_n_u8(64)));
  result = vqtbx4q_u8(result, table->part[2], vsubq_u8(i, vdupq_n_u8(128)));
  result = vqtbx4q_u8(result, table->part[3], vsubq_u8(i, vdupq_n_u8(192)));
  vst1q_s8(y, vreinterpretq_s8_u8(result));
}

#endif

/* y[i] = table[x[i] + 128]. */
EDGERNN_INLINE void edgernn_lookup_simd(const int8_t *bytes, int count, const int8_t *x,
                                        int8_t *y) {
  int i = 0;
#ifdef EDGERNN_LOOKUP_BYTES
  edgernn_table_t table;
  edgernn_table_load(&table, bytes);
  for (; i + EDGERNN_LOOKUP_BYTES <= count; i += EDGERNN_LOOKUP_BYTES) {
    edgernn_table_look(&table, x + i, y + i);
  }
#endif
  for (; i < count; i++) {
    y[i] = bytes[x[i] + 128];
  }
}

#endif
