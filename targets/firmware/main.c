/* One stream of the model, served over the serial port: link.h has the messages. */
#include "board.h"
#include "link.h"
#include "model.h"
#include "serve.h"

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

const program_t program = {request.bytes, sizeof request.bytes, answer.bytes};

void program_begin(void) { model_init(&state); }

int program_serve(uint8_t kind, size_t size) {
  switch (kind) {
    case LINK_STEP:
      if (size != INPUT_BYTES) {
        return -(int)LINK_BAD_SIZE;
      }
      model_step(&state, &scratch, request.frame, answer.prediction);
      return (int)OUTPUT_BYTES;
    case LINK_SAVE:
      model_save(&state, answer.bytes);
      return MODEL_BLOB_SIZE;
    case LINK_RESTORE:
      answer.bytes[0] = (uint8_t)model_restore(&state, request.bytes, size);
      return 1;
    default:
      return -(int)LINK_BAD_KIND;
  }
}
