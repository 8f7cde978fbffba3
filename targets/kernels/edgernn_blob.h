/* A saved state: header, raw arrays, CRC-32. All integers are little-endian. */
#ifndef EDGERNN_BLOB_H
#define EDGERNN_BLOB_H

#include <stddef.h>
#include <stdint.h>

#define EDGERNN_BLOB_HEADER 32
#define EDGERNN_BLOB_CRC 4

typedef enum {
  EDGERNN_BLOB_OK = 0,
  EDGERNN_BLOB_DAMAGED = 1, /* cut short, or a bit is wrong */
  EDGERNN_BLOB_VERSION = 2, /* saved in another format */
  EDGERNN_BLOB_MODEL = 3    /* saved from another model */
} edgernn_blob_error_t;

/* Writes the header; returns where the first array goes. */
uint8_t *edgernn_blob_begin(uint8_t *blob, const uint8_t key[16], uint32_t size);

/* Copies an array into the blob; returns the place behind it. */
uint8_t *edgernn_blob_put(uint8_t *p, const void *array, size_t size);

/* Writes the checksum of everything before p. */
void edgernn_blob_end(const uint8_t *blob, uint8_t *p);

/* Whether a blob is whole and belongs to this model: an edgernn_blob_error_t. */
int edgernn_blob_check(const uint8_t *blob, size_t size, const uint8_t key[16],
                       uint32_t state_size);

/* Copies an array out of the blob; returns the place behind it. */
const uint8_t *edgernn_blob_get(const uint8_t *p, void *array, size_t size);

#endif
