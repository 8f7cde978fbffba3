#include "edgernn_link.h"

#define LONGEST 254u /* bytes without a zero in one block */

/* CRC-32 as in zlib, four bits at a time. */
static uint32_t crc_add(uint32_t crc, uint8_t byte) {
  static const uint32_t table[16] = {
      0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u,
      0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
      0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu};
  crc ^= byte;
  crc = crc >> 4 ^ table[crc & 15u];
  return crc >> 4 ^ table[crc & 15u];
}

/* Receiving */

static void begin_frame(edgernn_link_receiver_t *r) {
  r->used = 0;
  r->code = 0;
  r->left = 0;
  r->too_long = 0;
}

void edgernn_link_receiver_init(edgernn_link_receiver_t *r, uint8_t *buffer, size_t capacity) {
  r->buffer = buffer;
  r->capacity = capacity;
  r->damaged = 0;
  r->foreign = 0;
  begin_frame(r);
}

static void append(edgernn_link_receiver_t *r, uint8_t byte) {
  if (r->used < r->capacity) {
    r->buffer[r->used++] = byte;
  } else {
    r->too_long = 1;
  }
}

/* Whether the buffer holds a whole frame of any version. */
static int is_whole(const edgernn_link_receiver_t *r) {
  if (r->left != 0 || r->too_long || r->used < EDGERNN_LINK_HEADER + EDGERNN_LINK_CRC) {
    return 0;
  }
  const size_t end = r->used - EDGERNN_LINK_CRC;
  uint32_t crc = 0xFFFFFFFFu;
  for (size_t i = 0; i < end; i++) {
    crc = crc_add(crc, r->buffer[i]);
  }
  crc = ~crc;
  for (unsigned i = 0; i < EDGERNN_LINK_CRC; i++) {
    if (r->buffer[end + i] != (uint8_t)(crc >> (8 * i))) {
      return 0;
    }
  }
  return 1;
}

int edgernn_link_receive(edgernn_link_receiver_t *r, uint8_t byte, edgernn_link_message_t *message) {
  if (byte != 0) {
    if (r->left != 0) {
      append(r, byte);
      r->left--;
      return 0;
    }
    if (r->code != 0 && r->code != LONGEST + 1) {
      append(r, 0);
    }
    r->code = byte;
    r->left = (uint8_t)(byte - 1);
    return 0;
  }
  const int empty = r->code == 0;
  const int whole = !empty && is_whole(r);
  const int known = whole && r->buffer[0] == EDGERNN_LINK_VERSION;
  if (known) {
    message->type = r->buffer[1];
    message->sequence = (uint16_t)(r->buffer[2] | r->buffer[3] << 8);
    message->payload = r->buffer + EDGERNN_LINK_HEADER;
    message->size = r->used - EDGERNN_LINK_HEADER - EDGERNN_LINK_CRC;
  } else if (whole) {
    r->foreign++;
  } else if (!empty) {
    r->damaged++;
  }
  begin_frame(r);
  return known;
}

/* Sending */

/* A byte of header, payload, CRC, as if they lay one behind the other. */
static uint8_t byte_at(const edgernn_link_sender_t *s, size_t i) {
  const edgernn_link_message_t *const m = &s->message;
  const uint8_t header[EDGERNN_LINK_HEADER] = {EDGERNN_LINK_VERSION, m->type,
                                               (uint8_t)(m->sequence & 0xFFu),
                                               (uint8_t)(m->sequence >> 8)};
  if (i < EDGERNN_LINK_HEADER) {
    return header[i];
  }
  i -= EDGERNN_LINK_HEADER;
  return i < m->size ? m->payload[i] : (uint8_t)(s->crc >> (8 * (i - m->size)));
}

void edgernn_link_begin(edgernn_link_sender_t *s, const edgernn_link_message_t *message) {
  s->message = *message;
  s->position = 0;
  s->begun = 0;
  s->ended = 0;
  s->crc = 0;
  uint32_t crc = 0xFFFFFFFFu;
  for (size_t i = 0; i < EDGERNN_LINK_HEADER + message->size; i++) {
    crc = crc_add(crc, byte_at(s, i));
  }
  s->crc = ~crc;
}

size_t edgernn_link_next(edgernn_link_sender_t *s, uint8_t block[EDGERNN_LINK_BLOCK]) {
  const size_t end = EDGERNN_LINK_ROOM(s->message.size);
  size_t n = 0;
  if (s->ended) {
    return 0;
  }
  if (!s->begun) {
    block[n++] = 0;
    s->begun = 1;
  }
  uint8_t *const code = block + n++;
  uint8_t length = 0;
  int at_zero = 0;
  while (s->position < end && length < LONGEST) {
    const uint8_t byte = byte_at(s, s->position);
    if (byte == 0) {
      at_zero = 1;
      break;
    }
    block[n++] = byte;
    s->position++;
    length++;
  }
  *code = (uint8_t)(length + 1);
  /* The zero is left out; a last one is followed by an empty block, which stands for it. */
  s->position += at_zero ? 1u : 0u;
  if (s->position == end && !at_zero) {
    block[n++] = 0;
    s->ended = 1;
  }
  return n;
}
