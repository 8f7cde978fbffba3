/* TIMER0 of the nRF51 as 32 bits at 1 MHz; to be read at least once an hour. */
#include "clock.h"

#define REGISTER(offset) (*(volatile uint32_t *)(0x40008000u + (offset)))
#define TASKS_START REGISTER(0x000u)
#define TASKS_CAPTURE0 REGISTER(0x040u)
#define BITMODE REGISTER(0x508u)
#define PRESCALER REGISTER(0x510u)
#define CC0 REGISTER(0x540u)

static uint32_t last, wraps;

void clock_init(void) {
  BITMODE = 3u;
  PRESCALER = 4u;
  TASKS_START = 1u;
}

uint64_t clock_ticks(void) {
  TASKS_CAPTURE0 = 1u;
  const uint32_t now = CC0;
  wraps += now < last;
  last = now;
  return (uint64_t)wraps << 32 | now;
}
