/*
 * A program that answers requests on the serial port: serve.c has its main, and what all of them
 * answer; main.c or pipeline_main.c is the program.
 */
#ifndef SERVE_H
#define SERVE_H

#include <stddef.h>
#include <stdint.h>

/* Where requests and answers go. */
typedef struct {
  uint8_t *request;
  size_t capacity;
  uint8_t *answer; /* 4 bytes at least */
} program_t;

extern const program_t program;

/* A new stream. */
void program_begin(void);

/* Serves a request; returns the size of the answer, or a negative link_error_t. */
int program_serve(uint8_t kind, size_t size);

#endif
