/* What happens between power-on and main. */
#ifndef STARTUP_H
#define STARTUP_H

#include <stdint.h>

int main(void);
void reset_handler(void);

/* What is told when the processor stops at a fault; the program gives it. */
void fault(void);

/* Of the timer; a fault, unless the clock's driver has one. */
void systick_handler(void);

#endif
