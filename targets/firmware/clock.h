/* Time since clock_init, in ticks of BOARD_TICKS_HZ. One driver is linked: clock_NAME.c. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

void clock_init(void);

uint64_t clock_ticks(void);

#endif
