/* How deep the stack went. */
#ifndef STACK_H
#define STACK_H

#include <stdint.h>

/* Bytes of stack used so far, and those that there are; 0 if nobody knows. */
uint32_t stack_used(void);
uint32_t stack_size(void);

#endif
