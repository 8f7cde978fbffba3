/* The device program on a board with drivers of ours. */
#include "clock.h"
#include "device.h"
#include "startup.h"
#include "uart.h"

void fault(void) { device_send(DEVICE_FAULT, NULL, 0); }

int main(void) {
  uart_init();
  clock_init();
  device_start();
  for (;;) {
    device_turn();
  }
}
