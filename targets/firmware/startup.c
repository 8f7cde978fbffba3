#include "startup.h"

#include "stack.h"

#define PAINT 0xA5A5A5A5u

typedef void (*handler_t)(void);

/* Places that the linker script defines. */
extern uint32_t data_start[], data_end[], bss_start[], bss_end[], stack_bottom[], stack_top[];
extern const uint32_t data_image[];

static void fault_handler(void) {
  fault();
  for (;;) {
  }
}

__attribute__((weak)) void systick_handler(void) { fault_handler(); }

/* The first stack pointer, the reset handler, and the system exceptions. */
typedef struct {
  uint32_t *stack;
  handler_t handlers[15];
} vectors_t;

extern const vectors_t vectors;
__attribute__((section(".vectors"), used)) const vectors_t vectors = {
    stack_top,
    {reset_handler, fault_handler, fault_handler, fault_handler, fault_handler, fault_handler,
     fault_handler, fault_handler, fault_handler, fault_handler, fault_handler, fault_handler,
     fault_handler, fault_handler, systick_handler}};

void reset_handler(void) {
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
  *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* CPACR: the vector or floating-point unit */
  __asm__ volatile("dsb\n isb" ::: "memory");
#endif
  /* Volatile, or the compiler would call memcpy and memset, which are not there. */
  const uint32_t *from = data_image;
  for (volatile uint32_t *to = data_start; to < data_end; to++) {
    *to = *from++;
  }
  for (volatile uint32_t *to = bss_start; to < bss_end; to++) {
    *to = 0;
  }
  uint32_t *const here = (uint32_t *)__builtin_frame_address(0) - 16;
  for (volatile uint32_t *to = stack_bottom; to < here; to++) {
    *to = PAINT;
  }
  (void)main();
  for (;;) {
  }
}

uint32_t stack_used(void) {
  const volatile uint32_t *p = stack_bottom;
  while (p < stack_top && *p == PAINT) {
    p++;
  }
  return (uint32_t)(stack_top - p) * (uint32_t)sizeof *p;
}

uint32_t stack_size(void) { return (uint32_t)(stack_top - stack_bottom) * (uint32_t)sizeof *stack_top; }
