/* What happens between power-on and main, and how deep the stack went since. */
#ifndef STARTUP_H
#define STARTUP_H

#include <stdint.h>

int main(void);
void reset_handler(void);

/* What is told when the processor stops at a fault; the program gives it. */
void fault(void);

/* Of the timer; a fault, unless the clock's driver has one. */
void systick_handler(void);

/* Bytes of stack used so far, and those that there are. */
uint32_t stack_used(void);
uint32_t stack_size(void);

#endif
