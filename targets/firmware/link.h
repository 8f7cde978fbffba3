/*
 * Messages over the serial port, the same in both directions:
 *
 *   0xA5, kind (1 byte), size (4 bytes), payload (size bytes), CRC-16 (2 bytes)
 *
 * Numbers are little-endian. The CRC is CCITT's (polynomial 0x1021, first value 0xFFFF) over kind,
 * size and payload. Each request is answered with one message: of the same kind, or an error.
 */
#ifndef LINK_H
#define LINK_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
  LINK_STEP = 'S',    /* a raw frame; answered with the raw prediction */
  LINK_RESET = 'R',   /* back to the first state */
  LINK_SAVE = 'G',    /* answered with the saved state */
  LINK_RESTORE = 'P', /* a saved state; answered with one byte, 0 or why it was refused */
  LINK_STACK = 'K',   /* answered with the bytes of stack used so far, 4 bytes */
  LINK_SAMPLES = 'A',       /* samples; answered with what they brought: see pipeline_main.c */
  LINK_TIMED_SAMPLES = 'T', /* the times of samples, 8 bytes each, then the samples */
  LINK_READY = 'B',   /* sent once, unasked, after a reset of the board */
  LINK_ERROR = 'E'    /* an answer only; one byte, a link_error_t */
} link_kind_t;

typedef enum {
  LINK_BAD_SIZE = 1,
  LINK_BAD_CRC = 2,
  LINK_BAD_KIND = 3,
  LINK_FAULT = 4 /* the processor stopped at a fault; reset the board */
} link_error_t;

/*
 * Waits for the next whole message of at most `capacity` bytes and returns its kind. What is no
 * message is skipped; a damaged one is answered with an error and skipped.
 */
uint8_t link_receive(uint8_t *payload, size_t capacity, size_t *size);

void link_send(uint8_t kind, const uint8_t *payload, size_t size);

void link_error(link_error_t error);

#endif
