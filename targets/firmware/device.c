#include "device.h"

#include "clock.h"
#include "stack.h"
#include "uart.h"

#define ANSWER 0x80u
#define ERROR_BYTES 1u
#define LOAD_BYTES 40u
#define WAITING 64u /* bytes received while something is sent; a power of two */

union device_answer device_answer;

static union {
  uint8_t bytes[EDGERNN_LINK_ROOM(DEVICE_PAYLOAD)];
  int64_t aligned;
} request;

static edgernn_link_receiver_t receiver;
static edgernn_link_sender_t sender;
static uint8_t block[EDGERNN_LINK_BLOCK];

static uint8_t waiting[WAITING];
static uint32_t received, taken;

static uint16_t unasked; /* their sequence number */
static uint8_t wanted;
static uint64_t next_status;

static struct {
  uint64_t total;
  uint32_t steps, last, worst, overruns;
} load;

/* The newest answer: its request may come again. */
static struct {
  const uint8_t *payload;
  size_t size;
  uint16_t sequence;
  uint8_t request;
  uint8_t type;
  uint8_t valid;
} answer;

uint8_t *device_put_u32(uint8_t *p, uint32_t value) {
  for (int i = 0; i < 4; i++) {
    *p++ = (uint8_t)(value >> (8 * i));
  }
  return p;
}

uint8_t *device_put_bytes(uint8_t *p, const void *bytes, size_t size) {
  const uint8_t *from = bytes;
  for (size_t i = 0; i < size; i++) {
    *p++ = from[i];
  }
  return p;
}

/* Saves what arrives while nobody has time for it. */
static void listen(void) {
  while (uart_ready() && received - taken < WAITING) {
    waiting[received++ % WAITING] = uart_get();
  }
}

static void send(uint8_t type, uint16_t sequence, const uint8_t *payload, size_t size) {
  const edgernn_link_message_t message = {payload, size, sequence, type};
  size_t n;
  edgernn_link_begin(&sender, &message);
  while ((n = edgernn_link_next(&sender, block)) != 0) {
    for (size_t i = 0; i < n; i++) {
      listen();
      uart_put(block[i]);
    }
  }
}

void device_send(device_type_t type, const uint8_t *payload, size_t size) {
  send((uint8_t)type, unasked++, payload, size);
}

void device_account(uint32_t ticks) {
  load.steps++;
  load.last = ticks;
  load.total += ticks;
  load.worst = ticks > load.worst ? ticks : load.worst;
  load.overruns += BOARD_PERIOD_TICKS != 0 && ticks > BOARD_PERIOD_TICKS;
}

static size_t put_load(uint8_t *p) {
  p = device_put_u32(p, load.steps);
  p = device_put_u32(p, load.last);
  p = device_put_u32(p, load.worst);
  p = device_put_u32(p, (uint32_t)(load.total & 0xFFFFFFFFu));
  p = device_put_u32(p, (uint32_t)(load.total >> 32));
  p = device_put_u32(p, load.overruns);
  p = device_put_u32(p, model_lost());
  p = device_put_u32(p, receiver.damaged);
  p = device_put_u32(p, stack_used());
  (void)device_put_u32(p, stack_size());
  return LOAD_BYTES;
}

static void begin(void) {
  load.total = 0;
  load.steps = load.last = load.worst = load.overruns = 0;
  model_begin();
}

static int start(const edgernn_link_message_t *message) {
  if (message->size != 1) {
    return DEVICE_BAD_SIZE;
  }
  if (message->payload[0] & ~(unsigned)DEVICE_WANTS_STATUS && !BOARD_HAS_SENSOR) {
    return DEVICE_NO_SENSOR;
  }
  begin();
  model_start_sensor();
  wanted = message->payload[0];
  next_status = clock_ticks() + BOARD_TICKS_HZ;
  return 0;
}

/* Serves a request that has no payload; returns the size of its answer in device_answer. */
static int serve_plain(const edgernn_link_message_t *message) {
  if (message->size != 0) {
    return DEVICE_BAD_SIZE;
  }
  switch (message->type) {
    case DEVICE_SELF_TEST:
      return (int)model_self_test(device_answer.bytes);
    case DEVICE_RESET:
      begin();
      return 0;
    case DEVICE_STOP:
      wanted = 0;
      return 0;
    case DEVICE_LOAD:
      return (int)put_load(device_answer.bytes);
    default:
      return DEVICE_BAD_TYPE;
  }
}

static int serve(const edgernn_link_message_t *message) {
  switch (message->type) {
    case DEVICE_FRAMES:
    case DEVICE_SAMPLES:
      return model_serve(message);
    case DEVICE_START:
      return start(message);
    default:
      return serve_plain(message);
  }
}

static void take(uint8_t byte) {
  edgernn_link_message_t message;
  if (!edgernn_link_receive(&receiver, byte, &message)) {
    return;
  }
  const int again =
      answer.valid && message.sequence == answer.sequence && message.type == answer.request;
  if (!again) {
    answer.sequence = message.sequence;
    answer.request = message.type;
    answer.valid = 1;
    answer.type = (uint8_t)(message.type | ANSWER);
    if (message.type == DEVICE_HELLO && message.size == 0) {
      answer.payload = device_hello;
      answer.size = device_hello_size;
    } else {
      const int size = serve(&message);
      answer.payload = device_answer.bytes;
      answer.size = size < 0 ? ERROR_BYTES : (size_t)size;
      if (size < 0) {
        answer.type = DEVICE_ERROR;
        device_answer.bytes[0] = (uint8_t)-size;
      }
    }
  }
  send(answer.type, answer.sequence, answer.payload, answer.size);
}

void device_start(void) {
  uint8_t payload[LOAD_BYTES];
  edgernn_link_receiver_init(&receiver, request.bytes, sizeof request.bytes);
  device_send(DEVICE_BOOT, payload, model_self_test(payload));
}

void device_turn(void) {
  uint8_t payload[LOAD_BYTES];
  listen();
  if (received != taken) {
    take(waiting[taken++ % WAITING]);
  } else if (wanted) {
    model_poll(wanted);
    if (wanted & DEVICE_WANTS_STATUS && clock_ticks() >= next_status) {
      next_status += BOARD_TICKS_HZ;
      device_send(DEVICE_STATUS, payload, put_load(payload));
    }
  } else {
    uart_wait();
  }
}
