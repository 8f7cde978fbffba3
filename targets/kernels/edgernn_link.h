/*
 * Messages over a serial line: docs/link.md describes their bytes.
 *
 * A frame is 0x00, COBS(header, payload, CRC-32), 0x00. After any garbage, the next frame whose
 * first 0x00 arrives is received. The caller owns all memory.
 */
#ifndef EDGERNN_LINK_H
#define EDGERNN_LINK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EDGERNN_LINK_VERSION 1
#define EDGERNN_LINK_HEADER 4
#define EDGERNN_LINK_CRC 4

/* Bytes of a receiver's buffer that has room for payloads of `size` bytes. */
#define EDGERNN_LINK_ROOM(size) ((size) + EDGERNN_LINK_HEADER + EDGERNN_LINK_CRC)

/* Most bytes that `edgernn_link_next` writes at once. */
#define EDGERNN_LINK_BLOCK 257

typedef struct {
  const uint8_t *payload;
  size_t size;
  uint16_t sequence;
  uint8_t type;
} edgernn_link_message_t;

typedef struct {
  uint8_t *buffer;
  size_t capacity;
  size_t used;
  uint32_t damaged; /* frames that were dropped */
  uint32_t foreign; /* whole frames of another version of the protocol */
  uint8_t code;     /* of the current block; 0 before the first */
  uint8_t left;     /* bytes that this block still brings */
  uint8_t too_long;
} edgernn_link_receiver_t;

/* `buffer` has EDGERNN_LINK_ROOM(largest payload) bytes. */
void edgernn_link_receiver_init(edgernn_link_receiver_t *r, uint8_t *buffer, size_t capacity);

/*
 * Takes a byte of the line. Returns 1 if it completes a message; its payload lies in the buffer, 4
 * bytes behind its start, until the next byte is given.
 */
int edgernn_link_receive(edgernn_link_receiver_t *r, uint8_t byte, edgernn_link_message_t *message);

typedef struct {
  edgernn_link_message_t message;
  size_t position;
  uint32_t crc;
  uint8_t begun;
  uint8_t ended;
} edgernn_link_sender_t;

/* Prepares a message; its payload must stay until the last block is written. */
void edgernn_link_begin(edgernn_link_sender_t *s, const edgernn_link_message_t *message);

/* Writes the next bytes of the frame and returns how many; 0 when there are no more. */
size_t edgernn_link_next(edgernn_link_sender_t *s, uint8_t block[EDGERNN_LINK_BLOCK]);

#ifdef __cplusplus
}
#endif

#endif
