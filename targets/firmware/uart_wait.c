/*
 * Sleeps until a byte is there. The port's interrupt wakes the processor, and is never taken: it is
 * enabled only while interrupts are masked, so no program needs a handler for it.
 */
#include "uart.h"
#include "uart_board.h"

#define REGISTER(base) (*(volatile uint32_t *)((base) + 4u * (BOARD_UART_INTERRUPT / 32u)))
#define SET_ENABLE REGISTER(0xE000E100u)
#define CLEAR_ENABLE REGISTER(0xE000E180u)
#define CLEAR_PENDING REGISTER(0xE000E280u)
#define BIT (1u << (BOARD_UART_INTERRUPT % 32u))

void uart_wait(void) {
  __asm__ volatile("cpsid i" ::: "memory");
  CLEAR_PENDING = BIT;
  SET_ENABLE = BIT;
  if (!uart_ready()) {
    __asm__ volatile("dsb\n wfi" ::: "memory");
  }
  CLEAR_ENABLE = BIT;
  __asm__ volatile("dsb\n isb\n cpsie i" ::: "memory");
}
