/* The self-test: the golden sequence of the model file, value by value. */
#include "clock.h"
#include "device.h"

size_t device_self_test(uint8_t *payload, model_state_t *state, model_scratch_t *scratch,
                        model_output_t *y) {
  uint32_t differing = 0, first = 0, worst = 0, total = 0;
#if DEVICE_GOLDEN_STEPS > 0
  const model_output_t *expected = device_golden_outputs;
  const uint32_t warmup = DEVICE_GOLDEN_WARMUP;
  model_init(state);
  for (uint32_t step = 0; step < DEVICE_GOLDEN_STEPS; step++) {
    const uint64_t begin = clock_ticks();
    model_step(state, scratch, device_golden_inputs + step * MODEL_INPUT_SIZE, y);
    const uint32_t ticks = (uint32_t)(clock_ticks() - begin);
    total += ticks;
    worst = ticks > worst ? ticks : worst;
    if (step < warmup) {
      continue;
    }
    for (uint32_t i = 0; i < MODEL_OUTPUT_SIZE; i++, expected++) {
      if (!(y[i] <= *expected + DEVICE_GOLDEN_TOLERANCE &&
            y[i] >= *expected - DEVICE_GOLDEN_TOLERANCE)) {
        first = differing == 0 ? step : first;
        differing++;
      }
    }
  }
#else
  (void)state;
  (void)scratch;
  (void)y;
#endif
  uint8_t *p = device_put_u32(payload, DEVICE_GOLDEN_STEPS);
  p = device_put_u32(p, differing);
  p = device_put_u32(p, first);
  p = device_put_u32(p, worst);
  p = device_put_u32(p, total);
  return (size_t)(p - payload);
}
