/* The UART of the nRF51 and nRF52; a pin of port 1 is its number plus 32. */
#include "uart.h"
#include "uart_board.h"

#define REGISTER(offset) (*(volatile uint32_t *)(BOARD_UART_BASE + (offset)))
#define TASKS_STARTRX REGISTER(0x000u)
#define TASKS_STARTTX REGISTER(0x008u)
#define EVENTS_RXDRDY REGISTER(0x108u)
#define EVENTS_TXDRDY REGISTER(0x11Cu)
#define INTENSET REGISTER(0x304u)
#define ENABLE REGISTER(0x500u)
#define PSELTXD REGISTER(0x50Cu)
#define PSELRXD REGISTER(0x514u)
#define RXD REGISTER(0x518u)
#define TXD REGISTER(0x51Cu)
#define BAUDRATE REGISTER(0x524u)

#define GPIO_OUTSET (*(volatile uint32_t *)0x50000508u)
#define GPIO_DIRSET (*(volatile uint32_t *)0x50000518u)

void uart_init(void) {
  GPIO_OUTSET = 1u << BOARD_UART_TX; /* idle is high */
  GPIO_DIRSET = 1u << BOARD_UART_TX;
  PSELTXD = BOARD_UART_TX;
  PSELRXD = BOARD_UART_RX;
  BAUDRATE = BOARD_UART_DIVIDER;
  ENABLE = 4u;
  INTENSET = 1u << 2; /* a byte was received */
  TASKS_STARTRX = 1u;
  TASKS_STARTTX = 1u;
}

int uart_ready(void) { return EVENTS_RXDRDY != 0; }

uint8_t uart_get(void) {
  while (!uart_ready()) {
    uart_wait();
  }
  EVENTS_RXDRDY = 0u;
  return (uint8_t)RXD;
}

void uart_put(uint8_t byte) {
  EVENTS_TXDRDY = 0u;
  TXD = byte;
  while (!EVENTS_TXDRDY) {
  }
}
