/* A sensor for emulated boards: triangles, sample by sample as the time goes. */
#include "clock.h"
#include "sensor.h"

/* Samples that wait at most; older ones are lost. */
#define ROOM 4096u

static uint64_t begin, due; /* ticks, the latter with 16 bits behind the point */
static uint32_t number, lost;

void sensor_start(void) {
  begin = clock_ticks();
  due = 0;
  number = 0;
  lost = 0;
}

static model_sample_t value(uint32_t n, uint32_t channel) {
  const uint32_t phase = n * (1801u + 97u * channel) & 0xFFFFu;
  const int32_t height = (int32_t)(phase < 0x8000u ? phase : 0xFFFFu - phase);
  return (model_sample_t)((height - 0x4000) / 4);
}

int32_t sensor_read(model_sample_t *samples, int32_t most) {
  const uint64_t now = (clock_ticks() - begin) << 16;
  while (due + ROOM * (uint64_t)BOARD_SAMPLE_TICKS_Q16 < now) {
    due += BOARD_SAMPLE_TICKS_Q16;
    number++;
    lost++;
  }
  int32_t count = 0;
  for (; count < most && due <= now; count++) {
    for (uint32_t channel = 0; channel < BOARD_CHANNELS; channel++) {
      *samples++ = value(number, channel);
    }
    number++;
    due += BOARD_SAMPLE_TICKS_Q16;
  }
  return count;
}

uint32_t sensor_lost(void) { return lost; }
