/* One stream of the model, served over the serial port: link.h has the messages. */
#include "board.h"
#include "link.h"
#include "model.h"
#include "stack.h"
#include "startup.h"
#include "uart.h"

#define LARGER(a, b) ((a) > (b) ? (a) : (b))

#define INPUT_BYTES (MODEL_INPUT_SIZE * sizeof(model_input_t))
#define OUTPUT_BYTES (MODEL_OUTPUT_SIZE * sizeof(model_output_t))

static model_state_t state;
static model_scratch_t scratch;

static union {
  model_input_t frame[MODEL_INPUT_SIZE];
  uint8_t bytes[LARGER(INPUT_BYTES, MODEL_BLOB_SIZE)];
} request;

static union {
  model_output_t prediction[MODEL_OUTPUT_SIZE];
  uint8_t bytes[LARGER(OUTPUT_BYTES, MODEL_BLOB_SIZE)];
} answer;

/* Serves a request; returns the size of the answer, or a negative link_error_t. */
static int serve(uint8_t kind, size_t size) {
  uint32_t used;
  switch (kind) {
    case LINK_STEP:
      if (size != INPUT_BYTES) {
        return -(int)LINK_BAD_SIZE;
      }
      model_step(&state, &scratch, request.frame, answer.prediction);
      return (int)OUTPUT_BYTES;
    case LINK_RESET:
      model_reset(&state);
      return 0;
    case LINK_SAVE:
      model_save(&state, answer.bytes);
      return MODEL_BLOB_SIZE;
    case LINK_RESTORE:
      answer.bytes[0] = (uint8_t)model_restore(&state, request.bytes, size);
      return 1;
    case LINK_STACK:
      used = stack_used();
      for (int i = 0; i < 4; i++) {
        answer.bytes[i] = (uint8_t)(used >> (8 * i));
      }
      return 4;
    default:
      return -(int)LINK_BAD_KIND;
  }
}

int main(void) {
  uart_init();
  model_init(&state);
  link_send(LINK_READY, answer.bytes, 0);
  for (;;) {
    size_t size = 0;
    const uint8_t kind = link_receive(request.bytes, sizeof request.bytes, &size);
    const int length = serve(kind, size);
    if (length < 0) {
      link_error((link_error_t)-length);
    } else {
      link_send(kind, answer.bytes, (size_t)length);
    }
  }
}
