/* A model with its front end and its detector: samples from the host, or of the board's sensor. */
#include "clock.h"
#include "device.h"
#include "model_pipeline.h"
#include "sensor.h"

#define SAMPLE_BYTES (BOARD_CHANNELS * sizeof(model_sample_t))
#define PREDICTION_BYTES sizeof pipeline.BOARD_OUTPUT

static model_pipeline_t pipeline;
static uint32_t spent; /* ticks since the last prediction */
static uint32_t sampled;

static uint8_t *put_time(uint8_t *p, int64_t time_us) {
  p = device_put_u32(p, (uint32_t)((uint64_t)time_us & 0xFFFFFFFFu));
  return device_put_u32(p, (uint32_t)((uint64_t)time_us >> 32));
}

static void send_scores(void) {
  static uint8_t payload[12 + PREDICTION_BYTES];
  uint8_t *p = device_put_u32(payload, pipeline.predictions);
  p = put_time(p, pipeline.time_us);
  p = device_put_bytes(p, pipeline.BOARD_OUTPUT, PREDICTION_BYTES);
  device_send(DEVICE_SCORES, payload, (size_t)(p - payload));
}

#if BOARD_EVENTS > 0
static void send_event(const edgernn_event_t *event) {
  static uint8_t payload[28];
  uint8_t *p = device_put_u32(payload, (uint32_t)event->label);
  p = device_put_u32(p, (uint32_t)event->score);
  p = put_time(p, event->start_us);
  p = put_time(p, event->end_us);
  p = device_put_u32(p, (uint32_t)event->phase);
  device_send(DEVICE_EVENT, payload, (size_t)(p - payload));
}
#endif

/* No more samples than one prediction needs, so that each one is seen. */
static void push_part(const model_sample_t *samples, int32_t count, unsigned wanted) {
  const uint32_t before = pipeline.predictions;
  const uint64_t begin = clock_ticks();
#if BOARD_EVENTS > 0
  static edgernn_event_t events[BOARD_EVENTS];
  const int32_t found =
      model_pipeline_push(&pipeline, samples, NULL, count, events, BOARD_EVENTS);
#else
  (void)model_pipeline_push(&pipeline, samples, NULL, count);
#endif
  spent += (uint32_t)(clock_ticks() - begin);
  if (pipeline.predictions != before) {
    device_account(spent);
    spent = 0;
    if (wanted & DEVICE_WANTS_SCORES) {
      send_scores();
    }
  }
#if BOARD_EVENTS > 0
  for (int32_t i = 0; i < found && wanted & DEVICE_WANTS_EVENTS; i++) {
    send_event(events + i);
  }
#endif
}

static void push(const model_sample_t *samples, int32_t count, unsigned wanted) {
  while (count > 0) {
    const int32_t part = count < BOARD_HOP ? count : BOARD_HOP;
    push_part(samples, part, wanted);
    samples += part * BOARD_CHANNELS;
    count -= part;
  }
}

void model_begin(void) {
  model_pipeline_init(&pipeline);
  spent = 0;
}

void model_start_sensor(void) {
  sampled = 0;
  sensor_start();
}

uint32_t model_lost(void) {
#if BOARD_EVENTS > 0
  return sensor_lost() + pipeline.lost;
#else
  return sensor_lost();
#endif
}

int model_serve(const edgernn_link_message_t *message) {
  if (message->type != DEVICE_SAMPLES) {
    return DEVICE_BAD_TYPE;
  }
  if (message->size % SAMPLE_BYTES != 0) {
    return DEVICE_BAD_SIZE;
  }
  push((const model_sample_t *)(const void *)message->payload,
       (int32_t)(message->size / SAMPLE_BYTES), DEVICE_WANTS_SCORES | DEVICE_WANTS_EVENTS);
  uint8_t *p = device_put_u32(device_answer.bytes, pipeline.predictions);
  p = device_put_u32(p, model_lost());
  return (int)(p - device_answer.bytes);
}

size_t model_self_test(uint8_t *payload) {
  const size_t size =
      device_self_test(payload, &pipeline.state, &pipeline.scratch, pipeline.BOARD_OUTPUT);
  model_begin();
  return size;
}

void model_poll(uint8_t wanted) {
  static struct {
    uint8_t first[4];
    model_sample_t samples[BOARD_HOP * BOARD_CHANNELS];
  } data;
  const int32_t count = sensor_read(data.samples, BOARD_HOP);
  if (count <= 0) {
    return;
  }
  if (wanted & DEVICE_WANTS_DATA) {
    (void)device_put_u32(data.first, sampled + sensor_lost());
    device_send(DEVICE_DATA, (const uint8_t *)(const void *)&data,
                sizeof data.first + (size_t)count * SAMPLE_BYTES);
  }
  sampled += (uint32_t)count;
  if (wanted & ~(unsigned)DEVICE_WANTS_DATA) {
    push(data.samples, count, wanted);
  }
}
