/* A model that takes frames, from the host. */
#include "clock.h"
#include "device.h"

#define INPUT_BYTES (MODEL_INPUT_SIZE * sizeof(model_input_t))
#define OUTPUT_BYTES (MODEL_OUTPUT_SIZE * sizeof(model_output_t))

static model_state_t state;
static model_scratch_t scratch;

void model_begin(void) { model_init(&state); }

int model_serve(const edgernn_link_message_t *message) {
  if (message->type != DEVICE_FRAMES) {
    return DEVICE_BAD_TYPE;
  }
  const size_t count = message->size / INPUT_BYTES;
  if (count * INPUT_BYTES != message->size || count * OUTPUT_BYTES > DEVICE_ANSWER) {
    return DEVICE_BAD_SIZE;
  }
  const model_input_t *x = (const model_input_t *)(const void *)message->payload;
  model_output_t *y = (model_output_t *)(void *)device_answer.bytes;
  for (size_t i = 0; i < count; i++) {
    const uint64_t begin = clock_ticks();
    model_step(&state, &scratch, x + i * MODEL_INPUT_SIZE, y + i * MODEL_OUTPUT_SIZE);
    device_account((uint32_t)(clock_ticks() - begin));
  }
  return (int)(count * OUTPUT_BYTES);
}

size_t model_self_test(uint8_t *payload) {
  static model_output_t y[MODEL_OUTPUT_SIZE];
  const size_t size = device_self_test(payload, &state, &scratch, y);
  model_begin();
  return size;
}

void model_poll(uint8_t wanted) { (void)wanted; }

void model_start_sensor(void) {}

uint32_t model_lost(void) { return 0; }
