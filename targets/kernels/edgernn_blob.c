#include "edgernn_blob.h"

/* Saving is rare: these functions are compiled for size. */
#if defined(__clang__)
#define SMALL __attribute__((minsize, noinline))
#elif defined(__GNUC__)
#define SMALL __attribute__((optimize("Os"), noinline))
#else
#define SMALL
#endif

static const uint8_t magic[4] = {'E', 'R', 'N', 'N'};

static SMALL uint32_t crc32(const uint8_t *p, size_t size) {
  uint32_t crc = 0xFFFFFFFFu;
  for (size_t i = 0; i < size; i++) {
    crc ^= p[i];
    for (int bit = 0; bit < 8; bit++) {
      crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
    }
  }
  return ~crc;
}

static SMALL uint8_t *put_u32(uint8_t *p, uint32_t value) {
  for (int i = 0; i < 4; i++) {
    *p++ = (uint8_t)(value >> (8 * i));
  }
  return p;
}

static uint32_t get_u32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static SMALL int differ(const uint8_t *a, const uint8_t *b, size_t size) {
  int difference = 0;
  for (size_t i = 0; i < size; i++) {
    difference |= a[i] ^ b[i];
  }
  return difference;
}

SMALL uint8_t *edgernn_blob_put(uint8_t *p, const void *array, size_t size) {
  const uint8_t *const from = (const uint8_t *)array;
  for (size_t i = 0; i < size; i++) {
    *p++ = from[i];
  }
  return p;
}

SMALL const uint8_t *edgernn_blob_get(const uint8_t *p, void *array, size_t size) {
  uint8_t *const to = (uint8_t *)array;
  for (size_t i = 0; i < size; i++) {
    to[i] = *p++;
  }
  return p;
}

SMALL uint8_t *edgernn_blob_begin(uint8_t *blob, const uint8_t key[16], uint32_t size) {
  uint8_t *p = edgernn_blob_put(blob, magic, sizeof magic);
  p = put_u32(p, 1);
  p = edgernn_blob_put(p, key, 16);
  p = put_u32(p, size);
  return put_u32(p, 0); /* no pending frames */
}

SMALL void edgernn_blob_end(const uint8_t *blob, uint8_t *p) {
  (void)put_u32(p, crc32(blob, (size_t)(p - blob)));
}

SMALL int edgernn_blob_check(const uint8_t *blob, size_t size, const uint8_t key[16],
                       uint32_t state_size) {
  if (size < EDGERNN_BLOB_HEADER + EDGERNN_BLOB_CRC || differ(blob, magic, sizeof magic)) {
    return EDGERNN_BLOB_DAMAGED;
  }
  if (get_u32(blob + 4) != 1) {
    return EDGERNN_BLOB_VERSION;
  }
  if (get_u32(blob + size - EDGERNN_BLOB_CRC) != crc32(blob, size - EDGERNN_BLOB_CRC)) {
    return EDGERNN_BLOB_DAMAGED;
  }
  if (differ(blob + 8, key, 16)) {
    return EDGERNN_BLOB_MODEL;
  }
  if (get_u32(blob + 24) != state_size || get_u32(blob + 28) != 0 ||
      size != EDGERNN_BLOB_HEADER + (size_t)state_size + EDGERNN_BLOB_CRC) {
    return EDGERNN_BLOB_DAMAGED;
  }
  return EDGERNN_BLOB_OK;
}
