/*
 * USART1 of the STM32F4, on PB6 (transmit) and PB7 (receive), or USART2, on PA2 and PA3, at the clock
 * after reset.
 */
#include "uart.h"
#include "uart_board.h"

#define AT(address) (*(volatile uint32_t *)(address))
#define RCC_AHB1ENR AT(0x40023830u)
#define RCC_APB1ENR AT(0x40023840u)
#define RCC_APB2ENR AT(0x40023844u)
#define GPIOA_MODER AT(0x40020000u)
#define GPIOA_AFRL AT(0x40020020u)
#define GPIOB_MODER AT(0x40020400u)
#define GPIOB_AFRL AT(0x40020420u)

#define SR AT(BOARD_UART_BASE + 0x00u)
#define DR AT(BOARD_UART_BASE + 0x04u)
#define BRR AT(BOARD_UART_BASE + 0x08u)
#define CR1 AT(BOARD_UART_BASE + 0x0Cu)

#define SR_RXNE (1u << 5)
#define SR_TXE (1u << 7)

#define USART2_BASE 0x40004400u

void uart_init(void) {
#if BOARD_UART_BASE == USART2_BASE
  RCC_AHB1ENR |= 1u << 0;  /* port A */
  RCC_APB1ENR |= 1u << 17; /* USART2 */
  GPIOA_AFRL = (GPIOA_AFRL & ~0x0000FF00u) | 0x00007700u;
  GPIOA_MODER = (GPIOA_MODER & ~0x000000F0u) | 0x000000A0u;
#else
  RCC_AHB1ENR |= 1u << 1; /* port B */
  RCC_APB2ENR |= 1u << 4; /* USART1 */
  GPIOB_AFRL = (GPIOB_AFRL & ~0xFF000000u) | 0x77000000u;
  GPIOB_MODER = (GPIOB_MODER & ~0x0000F000u) | 0x0000A000u;
#endif
  BRR = BOARD_UART_DIVIDER;
  CR1 = 1u << 13 | 1u << 5 | 1u << 3 | 1u << 2; /* on, receive interrupt, transmit, receive */
}

int uart_ready(void) { return (SR & SR_RXNE) != 0; }

uint8_t uart_get(void) {
  while (!uart_ready()) {
    uart_wait();
  }
  return (uint8_t)DR;
}

void uart_put(uint8_t byte) {
  while (!(SR & SR_TXE)) {
  }
  DR = byte;
}
