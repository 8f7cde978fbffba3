/* The 24-bit timer of Cortex-M, at the processor's clock; its interrupt counts the wraps. */
#include "clock.h"
#include "startup.h"

#define CSR (*(volatile uint32_t *)0xE000E010u)
#define RVR (*(volatile uint32_t *)0xE000E014u)
#define CVR (*(volatile uint32_t *)0xE000E018u)
#define TOP 0x00FFFFFFu

static volatile uint32_t wraps;

void systick_handler(void) { wraps++; }

void clock_init(void) {
  RVR = TOP;
  CVR = 0;
  CSR = 7u; /* on, with its interrupt, at the processor's clock */
}

uint64_t clock_ticks(void) {
  uint32_t high, low;
  do {
    high = wraps;
    low = TOP - CVR;
  } while (high != wraps);
  return (uint64_t)high << 24 | low;
}
