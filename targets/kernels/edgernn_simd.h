/*
 * Matrix times vector on processors with vector units: x86-64 with AVX-512 or AVX2, Arm with NEON;
 * for anything else plain C.
 *
 * Weights come in blocks of 16 rows. A block has the weights of columns 0 to 3 of every row, then
 * those of columns 4 to 7, and so on, padded with zeros to a multiple of 8 columns: 64 bytes serve
 * four activations, and 16 sums grow side by side.
 */
#ifndef EDGERNN_SIMD_H
#define EDGERNN_SIMD_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512VNNI__) && defined(__AVX512BW__)
#define EDGERNN_AVX512
#include <immintrin.h>
#elif defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

/* Everything is inlined into the step function, where rows and columns are known numbers. */
#define EDGERNN_INLINE static inline __attribute__((always_inline))

/* Before a loop whose turns do not depend on each other; `bytes` is the size of its values. */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpass-failed"
#define EDGERNN_PRAGMA(text) _Pragma(#text)
#ifdef EDGERNN_AVX512
#define EDGERNN_WIDTH_1 64
#define EDGERNN_WIDTH_2 32
#define EDGERNN_WIDTH_4 16
#define EDGERNN_LOOP(width) EDGERNN_PRAGMA(clang loop vectorize(assume_safety) vectorize_width(width))
#define EDGERNN_INDEPENDENT(bytes) EDGERNN_LOOP(EDGERNN_WIDTH_##bytes)
#else
#define EDGERNN_INDEPENDENT(bytes) EDGERNN_PRAGMA(clang loop vectorize(assume_safety))
#endif
#else
#define EDGERNN_INDEPENDENT(bytes) _Pragma("GCC ivdep")
#endif

/* 16 values, whatever the size of the machine's registers. */
typedef int32_t edgernn_i32x16 __attribute__((vector_size(64)));
typedef int16_t edgernn_i16x16 __attribute__((vector_size(32)));
typedef int8_t edgernn_i8x16 __attribute__((vector_size(16)));

/*
 * A layer: one number a row, padded to blocks. `moved_bias` is for activations without sign, which
 * are larger by half their range. 16-bit sums are rescaled to the upper half of their product with
 * the multiplier; 8-bit sums are doubled first, and then offset (which rounds, and holds the zero
 * point) and shifted right.
 */
typedef struct {
  const int8_t *weights;
  const int32_t *bias;
  const int32_t *moved_bias;
  const int32_t *multiplier;
  const int32_t *offset;
  const int32_t *shift;
} edgernn_fully_connected_simd_t;

/*
 * What an instruction set brings: EDGERNN_BLOCKS, how many blocks its registers hold; what 16
 * growing sums are (edgernn_sums_t); how they begin; the addition of the products of 8 activations
 * with 8 columns of `count` blocks; the sums at last, with their biases.
 */
#ifdef EDGERNN_AVX512

#define EDGERNN_BLOCKS 4

/* Two sets of sums, so that additions need not wait for each other. */
typedef struct {
  __m512i a, b;
} edgernn_sums_t;

EDGERNN_INLINE void edgernn_sums_begin(const edgernn_fully_connected_simd_t *fc, int row,
                                       edgernn_sums_t *sums) {
  sums->a = _mm512_setzero_si512();
  sums->b = _mm512_loadu_si512(fc->moved_bias + row);
}

EDGERNN_INLINE void edgernn_sums_add_s8(edgernn_sums_t *sums, int count, int stride,
                                        const int8_t *w, const int8_t *x) {
  uint32_t four[2];
  memcpy(four, x, sizeof four);
  const __m512i first = _mm512_set1_epi32((int32_t)(four[0] ^ 0x80808080u));
  const __m512i second = _mm512_set1_epi32((int32_t)(four[1] ^ 0x80808080u));
  for (int k = 0; k < count; k++, w += stride) {
    sums[k].a = _mm512_dpbusd_epi32(sums[k].a, first, _mm512_loadu_si512(w));
    sums[k].b = _mm512_dpbusd_epi32(sums[k].b, second, _mm512_loadu_si512(w + 64));
  }
}

EDGERNN_INLINE void edgernn_sums_end_s8(const edgernn_fully_connected_simd_t *fc, int row,
                                        const edgernn_sums_t *sums, edgernn_i32x16 *result) {
  (void)fc, (void)row;
  *result = (edgernn_i32x16)_mm512_add_epi32(sums->a, sums->b);
}

/* 16-bit activations are bytes: 256 a + b. */
EDGERNN_INLINE void edgernn_sums_add_s16(edgernn_sums_t *sums, int count, int stride,
                                         const int8_t *w, const int16_t *x) {
  for (int half = 0; half < 2; half++, x += 4, w += 64) {
    uint64_t four;
    memcpy(&four, x, sizeof four);
    const __m512i moved = _mm512_set1_epi64((int64_t)(four ^ 0x8000800080008000u));
    const __m512i high = _mm512_shuffle_epi8(moved, _mm512_set1_epi64(0x0705030107050301));
    const __m512i low = _mm512_shuffle_epi8(moved, _mm512_set1_epi64(0x0604020006040200));
    for (int k = 0; k < count; k++) {
      const __m512i weights = _mm512_loadu_si512(w + k * stride);
      sums[k].a = _mm512_dpbusd_epi32(sums[k].a, high, weights);
      sums[k].b = _mm512_dpbusd_epi32(sums[k].b, low, weights);
    }
  }
}

EDGERNN_INLINE void edgernn_sums_end_s16(const edgernn_fully_connected_simd_t *fc, int row,
                                         const edgernn_sums_t *sums, edgernn_i32x16 *result) {
  (void)fc, (void)row;
  *result = (edgernn_i32x16)_mm512_add_epi32(_mm512_slli_epi32(sums->a, 8), sums->b);
}

/* (x * m + 2^31) / 2^32, rounded half up. */
EDGERNN_INLINE void edgernn_mul_high_x16(edgernn_i32x16 *x, const int32_t *multiplier) {
  const __m512i m = _mm512_loadu_si512(multiplier), half = _mm512_set1_epi64((int64_t)1 << 31);
  const __m512i even = _mm512_mul_epi32((__m512i)*x, m);
  const __m512i odd = _mm512_mul_epi32(_mm512_srli_epi64((__m512i)*x, 32), _mm512_srli_epi64(m, 32));
  *x = (edgernn_i32x16)_mm512_mask_blend_epi32(
      0xAAAA, _mm512_srli_epi64(_mm512_add_epi64(even, half), 32), _mm512_add_epi64(odd, half));
}

#else /* activations keep their sign, and biases are added at the end */

#define EDGERNN_SUMS(bits)                                                                    \
  EDGERNN_INLINE void edgernn_sums_end_##bits(const edgernn_fully_connected_simd_t *fc,       \
                                              int row, const edgernn_sums_t *sums,            \
                                              edgernn_i32x16 *result) {                       \
    int32_t sum[16];                                                                          \
    edgernn_sums_get_##bits(sums, sum);                                                       \
    edgernn_i32x16 bias;                                                                      \
    memcpy(&bias, fc->bias + row, sizeof bias);                                               \
    memcpy(result, sum, sizeof sum);                                                          \
    *result += bias;                                                                          \
  }

#if defined(__AVX2__)

#define EDGERNN_BLOCKS 2

/* Four rows a register, each in two halves. */
typedef struct {
  __m256i rows[4];
} edgernn_sums_t;

EDGERNN_INLINE void edgernn_sums_begin(const edgernn_fully_connected_simd_t *fc, int row,
                                       edgernn_sums_t *sums) {
  (void)fc, (void)row;
  sums->rows[0] = sums->rows[1] = sums->rows[2] = sums->rows[3] = _mm256_setzero_si256();
}

EDGERNN_INLINE void edgernn_sums_add(edgernn_sums_t *sums, int count, int stride,
                                     const int8_t *w, __m128i x) {
  const __m256i first = _mm256_broadcastq_epi64(x);
  const __m256i second = _mm256_broadcastq_epi64(_mm_unpackhi_epi64(x, x));
  for (int k = 0; k < count; k++) {
    for (int i = 0; i < 4; i++) {
      const __m128i *const weights = (const __m128i *)(const void *)(w + k * stride + 16 * i);
      const __m256i a = _mm256_cvtepi8_epi16(_mm_loadu_si128(weights));
      const __m256i b = _mm256_cvtepi8_epi16(_mm_loadu_si128(weights + 4));
      const __m256i both = _mm256_add_epi32(_mm256_madd_epi16(a, first), _mm256_madd_epi16(b, second));
      sums[k].rows[i] = _mm256_add_epi32(sums[k].rows[i], both);
    }
  }
}

EDGERNN_INLINE void edgernn_sums_add_s8(edgernn_sums_t *sums, int count, int stride,
                                        const int8_t *w, const int8_t *x) {
  const __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)x);
  edgernn_sums_add(sums, count, stride, w, _mm_cvtepi8_epi16(bytes));
}

EDGERNN_INLINE void edgernn_sums_add_s16(edgernn_sums_t *sums, int count, int stride,
                                         const int8_t *w, const int16_t *x) {
  edgernn_sums_add(sums, count, stride, w, _mm_loadu_si128((const __m128i *)(const void *)x));
}

EDGERNN_INLINE void edgernn_sums_get_s8(const edgernn_sums_t *sums, int32_t sum[16]) {
  for (int i = 0; i < 4; i += 2) {
    const __m256i pairs = _mm256_hadd_epi32(sums->rows[i], sums->rows[i + 1]);
    _mm256_storeu_si256((__m256i *)(void *)(sum + 4 * i), _mm256_permute4x64_epi64(pairs, 0xD8));
  }
}

#define edgernn_sums_get_s16 edgernn_sums_get_s8

EDGERNN_INLINE void edgernn_mul_high_x16(edgernn_i32x16 *x, const int32_t *multiplier) {
  const __m256i half = _mm256_set1_epi64x((int64_t)1 << 31);
  for (int i = 0; i < 2; i++) {
    __m256i a, m;
    memcpy(&a, (const char *)x + 32 * i, sizeof a);
    memcpy(&m, multiplier + 8 * i, sizeof m);
    const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(a, m), half);
    const __m256i odd = _mm256_mul_epi32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(m, 32));
    a = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), _mm256_add_epi64(odd, half), 0xAA);
    memcpy((char *)x + 32 * i, &a, sizeof a);
  }
}

#elif defined(__ARM_NEON)

#define EDGERNN_BLOCKS 1

/* 8-bit: `half[i]` has rows 2 i and 2 i + 1, each in two halves; 16-bit: a row in four quarters. */
typedef union {
  int32x4_t half[8];
  int32x4_t quarter[16];
} edgernn_sums_t;

EDGERNN_INLINE void edgernn_sums_begin(const edgernn_fully_connected_simd_t *fc, int row,
                                       edgernn_sums_t *sums) {
  (void)fc, (void)row;
  for (int i = 0; i < 16; i++) {
    sums->quarter[i] = vdupq_n_s32(0);
  }
}

/* No weight is -128, so two products fit 16 bits. */
EDGERNN_INLINE void edgernn_sums_add_s8(edgernn_sums_t *sums, int count, int stride,
                                        const int8_t *w, const int8_t *x) {
  const int32x2_t eight = vreinterpret_s32_s8(vld1_s8(x));
  const int8x8_t first = vreinterpret_s8_s32(vdup_lane_s32(eight, 0));
  const int8x8_t second = vreinterpret_s8_s32(vdup_lane_s32(eight, 1));
  for (int k = 0; k < count; k++, w += stride) {
    for (int i = 0; i < 8; i++) {
      const int16x8_t product = vmull_s8(vld1_s8(w + 8 * i), first);
      sums[k].half[i] =
          vpadalq_s16(sums[k].half[i], vmlal_s8(product, vld1_s8(w + 64 + 8 * i), second));
    }
  }
}

EDGERNN_INLINE void edgernn_sums_get_s8(const edgernn_sums_t *sums, int32_t sum[16]) {
  for (int i = 0; i < 8; i++) {
    const int32x4_t v = sums->half[i];
    vst1_s32(sum + 2 * i, vpadd_s32(vget_low_s32(v), vget_high_s32(v)));
  }
}

EDGERNN_INLINE void edgernn_sums_add_s16(edgernn_sums_t *sums, int count, int stride,
                                         const int8_t *w, const int16_t *x) {
  for (int half = 0; half < 2; half++, w += 64, x += 4) {
    const int16x4_t four = vld1_s16(x);
    for (int k = 0; k < count; k++) {
      int32x4_t *const quarter = sums[k].quarter;
      for (int i = 0; i < 16; i += 2) {
        const int16x8_t weights = vmovl_s8(vld1_s8(w + k * stride + 4 * i));
        quarter[i] = vmlal_s16(quarter[i], vget_low_s16(weights), four);
        quarter[i + 1] = vmlal_s16(quarter[i + 1], vget_high_s16(weights), four);
      }
    }
  }
}

EDGERNN_INLINE void edgernn_sums_get_s16(const edgernn_sums_t *sums, int32_t sum[16]) {
  for (int i = 0; i < 16; i += 2) {
    const int32x4_t a = sums->quarter[i], b = sums->quarter[i + 1];
    const int32x2_t a2 = vpadd_s32(vget_low_s32(a), vget_high_s32(a));
    const int32x2_t b2 = vpadd_s32(vget_low_s32(b), vget_high_s32(b));
    vst1_s32(sum + i, vpadd_s32(a2, b2));
  }
}

EDGERNN_INLINE void edgernn_mul_high_x16(edgernn_i32x16 *x, const int32_t *multiplier) {
  int32_t value[16];
  memcpy(value, x, sizeof value);
  for (int i = 0; i < 16; i += 2) {
    const int64x2_t product = vmull_s32(vld1_s32(value + i), vld1_s32(multiplier + i));
    vst1_s32(value + i, vrshrn_n_s64(product, 32));
  }
  memcpy(x, value, sizeof value);
}

#else

#define EDGERNN_BLOCKS 1

typedef struct {
  int32_t row[16];
} edgernn_sums_t;

EDGERNN_INLINE void edgernn_sums_begin(const edgernn_fully_connected_simd_t *fc, int row,
                                       edgernn_sums_t *sums) {
  (void)fc, (void)row;
  memset(sums, 0, sizeof *sums);
}

#define EDGERNN_PLAIN(bits, type)                                                             \
  EDGERNN_INLINE void edgernn_sums_add_##bits(edgernn_sums_t *sums, int count, int stride,    \
                                              const int8_t *w, const type *x) {               \
    for (int k = 0; k < count; k++, w += stride) {                                            \
      for (int i = 0; i < 16; i++) {                                                          \
        const int8_t *const a = w + 4 * i, *const b = a + 64;                                 \
        sums[k].row[i] += a[0] * x[0] + a[1] * x[1] + a[2] * x[2] + a[3] * x[3] +             \
                          b[0] * x[4] + b[1] * x[5] + b[2] * x[6] + b[3] * x[7];              \
      }                                                                                       \
    }                                                                                         \
  }                                                                                           \
                                                                                              \
  EDGERNN_INLINE void edgernn_sums_get_##bits(const edgernn_sums_t *sums, int32_t sum[16]) {  \
    memcpy(sum, sums, sizeof *sums);                                                          \
  }

EDGERNN_PLAIN(s8, int8_t)
EDGERNN_PLAIN(s16, int16_t)

#undef EDGERNN_PLAIN

EDGERNN_INLINE void edgernn_mul_high_x16(edgernn_i32x16 *x, const int32_t *multiplier) {
  int32_t value[16];
  memcpy(value, x, sizeof value);
  for (int i = 0; i < 16; i++) {
    value[i] = (int32_t)(((int64_t)value[i] * multiplier[i] + ((int64_t)1 << 31)) >> 32);
  }
  memcpy(x, value, sizeof value);
}

#endif

EDGERNN_SUMS(s8)
EDGERNN_SUMS(s16)

#undef EDGERNN_SUMS

#endif

EDGERNN_INLINE void edgernn_rescale_s8(const edgernn_fully_connected_simd_t *fc, int row,
                                       edgernn_i32x16 *x) {
  edgernn_i32x16 offset, shift;
  memcpy(&offset, fc->offset + row, sizeof offset);
  memcpy(&shift, fc->shift + row, sizeof shift);
  *x = *x + *x;
  edgernn_mul_high_x16(x, fc->multiplier + row);
  *x = (*x + (*x >> 31) + offset) >> shift;
}

EDGERNN_INLINE void edgernn_rescale_s16(const edgernn_fully_connected_simd_t *fc, int row,
                                        edgernn_i32x16 *x) {
  edgernn_mul_high_x16(x, fc->multiplier + row);
}

/* 8-bit sums to 16-bit results: also where nothing is left to shift, with one bit more. */
EDGERNN_INLINE void edgernn_rescale_s8_s16(const edgernn_fully_connected_simd_t *fc, int row,
                                           edgernn_i32x16 *x) {
  edgernn_i32x16 offset, shift;
  memcpy(&offset, fc->offset + row, sizeof offset);
  memcpy(&shift, fc->shift + row, sizeof shift);
  *x = *x + *x;
  edgernn_mul_high_x16(x, fc->multiplier + row);
  *x = (*x + *x + (*x >> 31) + offset) >> shift;
}

/* Saturates and writes `size` values, at most 16 of each x. */
#define EDGERNN_STORE(bits, type, vector, low, high)                                          \
  EDGERNN_INLINE void edgernn_store_##bits(const edgernn_i32x16 *x, int size, type *y) {      \
    for (; size > 0; x++, y += 16, size -= 16) {                                              \
      const edgernn_i32x16 below = *x < low, above = *x > high;                               \
      const edgernn_i32x16 inside = (*x & ~(below | above)) | (below & low) | (above & high); \
      const vector narrow = __builtin_convertvector(inside, vector);                          \
      memcpy(y, &narrow, (size_t)(size < 16 ? size : 16) * sizeof *y);                        \
    }                                                                                         \
  }

EDGERNN_STORE(s16, int16_t, edgernn_i16x16, INT16_MIN, INT16_MAX)

#ifdef EDGERNN_AVX512
EDGERNN_STORE(few_s8, int8_t, edgernn_i8x16, INT8_MIN, INT8_MAX)

/* 64 bytes in one piece, because a later load of them all would wait for several stores. */
EDGERNN_INLINE void edgernn_store_s8(const edgernn_i32x16 *x, int size, int8_t *y) {
  if (size < 64) {
    edgernn_store_few_s8(x, size, y);
  } else {
    const __m512i low = _mm512_packs_epi32((__m512i)x[0], (__m512i)x[1]);
    const __m512i high = _mm512_packs_epi32((__m512i)x[2], (__m512i)x[3]);
    const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    _mm512_storeu_si512(y, _mm512_permutexvar_epi32(order, _mm512_packs_epi16(low, high)));
  }
}
#else
EDGERNN_STORE(s8, int8_t, edgernn_i8x16, INT8_MIN, INT8_MAX)
#endif

#undef EDGERNN_STORE

/* y = W x + b, rescaled and saturated; many rows at a time while there are as many. */
#define EDGERNN_FULLY_CONNECTED(name, bits, type, result_bits, result_type)                   \
  EDGERNN_INLINE void edgernn_blocks_##name(const edgernn_fully_connected_simd_t *fc, int row,\
                                            int size, int columns, int count, const type *x,  \
                                            result_type *y) {                                 \
    const int eights = columns / 8, stride = 128 * ((columns + 7) / 8);                       \
    const int8_t *const w = fc->weights + row / 16 * stride;                                  \
    edgernn_sums_t sums[EDGERNN_BLOCKS];                                                      \
    for (int k = 0; k < count; k++) {                                                         \
      edgernn_sums_begin(fc, row + 16 * k, sums + k);                                         \
    }                                                                                         \
    for (int i = 0; i < eights; i++) {                                                        \
      edgernn_sums_add_##bits(sums, count, stride, w + 128 * i, x + 8 * i);                   \
    }                                                                                         \
    if (columns % 8 != 0) {                                                                   \
      type rest[8] = {0};                                                                     \
      memcpy(rest, x + 8 * eights, (size_t)(columns % 8) * sizeof *x);                        \
      edgernn_sums_add_##bits(sums, count, stride, w + 128 * eights, rest);                   \
    }                                                                                         \
    edgernn_i32x16 result[EDGERNN_BLOCKS];                                                    \
    for (int k = 0; k < count; k++) {                                                         \
      edgernn_sums_end_##bits(fc, row + 16 * k, sums + k, result + k);                        \
      edgernn_rescale_##name(fc, row + 16 * k, result + k);                                   \
    }                                                                                         \
    edgernn_store_##result_bits(result, size, y + row);                                       \
  }                                                                                           \
                                                                                              \
  EDGERNN_INLINE void edgernn_fully_connected_##name##_simd(                                  \
      const edgernn_fully_connected_simd_t *fc, int rows, int columns, const type *x,         \
      result_type *y) {                                                                       \
    const int many = 16 * EDGERNN_BLOCKS;                                                     \
    int row = 0;                                                                              \
    for (; row + many <= rows; row += many) {                                                 \
      edgernn_blocks_##name(fc, row, many, columns, EDGERNN_BLOCKS, x, y);                    \
    }                                                                                         \
    for (; row + 16 <= rows; row += 16) {                                                     \
      edgernn_blocks_##name(fc, row, 16, columns, 1, x, y);                                   \
    }                                                                                         \
    if (row < rows) {                                                                         \
      edgernn_blocks_##name(fc, row, rows - row, columns, 1, x, y);                           \
    }                                                                                         \
  }

EDGERNN_FULLY_CONNECTED(s8, s8, int8_t, s8, int8_t)
EDGERNN_FULLY_CONNECTED(s16, s16, int16_t, s16, int16_t)
EDGERNN_FULLY_CONNECTED(s8_s16, s8, int8_t, s16, int16_t)

#undef EDGERNN_FULLY_CONNECTED

#endif
