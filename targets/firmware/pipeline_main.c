/* One pipeline from samples to events, served over the serial port: link.h has the messages. */
#include "board.h"
#include "link.h"
#include "model_pipeline.h"
#include "serve.h"

#define MOST_SAMPLES 4096 /* bytes of a message */

static model_pipeline_t pipeline;

static union {
  uint8_t bytes[MOST_SAMPLES];
  int64_t aligned;
} request;

/* What a push brought; the newest prediction and the events lie behind it. */
typedef struct {
  uint32_t predictions;
  int32_t events;
  int64_t time_us; /* of the prediction */
} pushed_t;

static union {
  pushed_t pushed;
  uint8_t bytes[sizeof(pushed_t) + sizeof pipeline.BOARD_OUTPUT + BOARD_EVENTS_BYTES];
} answer;

const program_t program = {request.bytes, sizeof request.bytes, answer.bytes};

void program_begin(void) { model_pipeline_init(&pipeline); }

static void copy(uint8_t *to, const void *from, size_t size) {
  const uint8_t *bytes = from;
  for (size_t i = 0; i < size; i++) {
    to[i] = bytes[i];
  }
}

/* Samples, and behind them a time for each if the message is of that kind. */
static int push(size_t size, int timed) {
  const size_t one = BOARD_SAMPLE_BYTES + (timed ? sizeof(int64_t) : 0);
  if (size % one != 0) {
    return -(int)LINK_BAD_SIZE;
  }
  const size_t count = size / one;
  const int64_t *const times = timed ? (const int64_t *)(const void *)request.bytes : NULL;
  const void *const samples = request.bytes + (timed ? count * sizeof(int64_t) : 0);
#if BOARD_EVENTS > 0
  static edgernn_event_t events[BOARD_EVENTS];
  answer.pushed.events =
      model_pipeline_push(&pipeline, samples, times, (int32_t)count, events, BOARD_EVENTS);
  const size_t bytes = (size_t)answer.pushed.events * sizeof(edgernn_event_t);
  copy(answer.bytes + sizeof(pushed_t) + sizeof pipeline.BOARD_OUTPUT, events, bytes);
#else
  model_pipeline_push(&pipeline, samples, times, (int32_t)count);
  answer.pushed.events = 0;
  const size_t bytes = 0;
#endif
  answer.pushed.predictions = pipeline.predictions;
  answer.pushed.time_us = pipeline.time_us;
  copy(answer.bytes + sizeof(pushed_t), pipeline.BOARD_OUTPUT, sizeof pipeline.BOARD_OUTPUT);
  return (int)(sizeof(pushed_t) + sizeof pipeline.BOARD_OUTPUT + bytes);
}

int program_serve(uint8_t kind, size_t size) {
  switch (kind) {
    case LINK_SAMPLES:
      return push(size, 0);
    case LINK_TIMED_SAMPLES:
      return push(size, 1);
    default:
      return -(int)LINK_BAD_KIND;
  }
}
