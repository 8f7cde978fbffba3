#include "serve.h"

#include "link.h"
#include "stack.h"
#include "startup.h"
#include "uart.h"

static int serve(uint8_t kind, size_t size) {
  uint32_t used;
  switch (kind) {
    case LINK_RESET:
      program_begin();
      return 0;
    case LINK_STACK:
      used = stack_used();
      for (int i = 0; i < 4; i++) {
        program.answer[i] = (uint8_t)(used >> (8 * i));
      }
      return 4;
    default:
      return program_serve(kind, size);
  }
}

int main(void) {
  uart_init();
  program_begin();
  link_send(LINK_READY, program.answer, 0);
  for (;;) {
    size_t size = 0;
    const uint8_t kind = link_receive(program.request, program.capacity, &size);
    const int length = serve(kind, size);
    if (length < 0) {
      link_error((link_error_t)-length);
    } else {
      link_send(kind, program.answer, (size_t)length);
    }
  }
}
