/* The serial port of a board. One driver is linked: uart_NAME.c, and uart_wait.c. */
#ifndef UART_H
#define UART_H

#include <stdint.h>

void uart_init(void);

/* Whether a byte is there. */
int uart_ready(void);

/* Sleeps until a byte is there; another interrupt may wake it earlier. */
void uart_wait(void);

/* Waits for a byte. */
uint8_t uart_get(void);

/* Waits until the byte can be sent. */
void uart_put(uint8_t byte);

#endif
