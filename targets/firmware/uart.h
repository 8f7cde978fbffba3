/* The serial port of a board, polled. One driver is linked: uart_NAME.c. */
#ifndef UART_H
#define UART_H

#include <stdint.h>

void uart_init(void);

/* Whether a byte is there. */
int uart_ready(void);

/* Waits for a byte. */
uint8_t uart_get(void);

/* Waits until the byte can be sent. */
void uart_put(uint8_t byte);

#endif
