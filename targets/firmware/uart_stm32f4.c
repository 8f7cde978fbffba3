/* USART1 of the STM32F4, on PB6 (transmit) and PB7 (receive), at the clock after reset. */
#include "board.h"
#include "uart.h"

#define AT(address) (*(volatile uint32_t *)(address))
#define RCC_AHB1ENR AT(0x40023830u)
#define RCC_APB2ENR AT(0x40023844u)
#define GPIOB_MODER AT(0x40020400u)
#define GPIOB_AFRL AT(0x40020420u)

#define SR AT(BOARD_UART_BASE + 0x00u)
#define DR AT(BOARD_UART_BASE + 0x04u)
#define BRR AT(BOARD_UART_BASE + 0x08u)
#define CR1 AT(BOARD_UART_BASE + 0x0Cu)

#define SR_RXNE (1u << 5)
#define SR_TXE (1u << 7)

void uart_init(void) {
  RCC_AHB1ENR |= 1u << 1; /* port B */
  RCC_APB2ENR |= 1u << 4; /* USART1 */
  GPIOB_AFRL = (GPIOB_AFRL & ~0xFF000000u) | 0x77000000u;
  GPIOB_MODER = (GPIOB_MODER & ~0x0000F000u) | 0x0000A000u;
  BRR = BOARD_UART_DIVIDER;
  CR1 = 1u << 13 | 1u << 3 | 1u << 2; /* on, transmit and receive */
}

uint8_t uart_get(void) {
  while (!(SR & SR_RXNE)) {
  }
  return (uint8_t)DR;
}

void uart_put(uint8_t byte) {
  while (!(SR & SR_TXE)) {
  }
  DR = byte;
}
