/* The UART of Arm's Cortex-M System Design Kit, as on the MPS2 and MPS3 boards. */
#include "uart.h"
#include "uart_board.h"

#define REGISTER(offset) (*(volatile uint32_t *)(BOARD_UART_BASE + (offset)))
#define DATA REGISTER(0x00u)
#define STATE REGISTER(0x04u)
#define CTRL REGISTER(0x08u)
#define INTCLEAR REGISTER(0x0Cu)
#define BAUDDIV REGISTER(0x10u)

#define TX_FULL 1u
#define RX_FULL 2u

#define RX_INTERRUPT 2u

void uart_init(void) {
  BAUDDIV = BOARD_UART_DIVIDER;
  CTRL = 0xBu; /* transmit, receive, and an interrupt for what was received */
}

int uart_ready(void) { return (STATE & RX_FULL) != 0; }

uint8_t uart_get(void) {
  while (!uart_ready()) {
    uart_wait();
  }
  INTCLEAR = RX_INTERRUPT;
  return (uint8_t)DATA;
}

void uart_put(uint8_t byte) {
  while (STATE & TX_FULL) {
  }
  DATA = byte;
}
