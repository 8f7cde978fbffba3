/*
 * A device program: the model, and the link of docs/link.md on the serial port.
 *
 * device.c talks; device_frames.c or device_pipeline.c is the model's half.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "device_board.h"
#include "edgernn_link.h"
#include "model.h"

typedef enum {
  DEVICE_HELLO = 0x01,
  DEVICE_SELF_TEST = 0x02,
  DEVICE_FRAMES = 0x03,
  DEVICE_SAMPLES = 0x04,
  DEVICE_RESET = 0x05,
  DEVICE_START = 0x06,
  DEVICE_STOP = 0x07,
  DEVICE_LOAD = 0x08,
  DEVICE_BOOT = 0x40,
  DEVICE_SCORES = 0x41,
  DEVICE_EVENT = 0x42,
  DEVICE_STATUS = 0x43,
  DEVICE_DATA = 0x44,
  DEVICE_FAULT = 0x45,
  DEVICE_ERROR = 0xFF
} device_type_t;

typedef enum {
  DEVICE_WANTS_SCORES = 1,
  DEVICE_WANTS_EVENTS = 2,
  DEVICE_WANTS_STATUS = 4,
  DEVICE_WANTS_DATA = 8
} device_wants_t;

/* What a request comes to: the size of the answer, or one of these. */
typedef enum {
  DEVICE_BAD_SIZE = -1,
  DEVICE_BAD_TYPE = -2,
  DEVICE_NO_SENSOR = -3
} device_error_t;

/* The talking half */

/* Tests the model and says so; once, before everything else. */
void device_start(void);

/* Takes a byte that has come, or serves the sensor; to be called without end. */
void device_turn(void);

/* Where an answer goes, DEVICE_ANSWER bytes. */
extern union device_answer {
  uint8_t bytes[DEVICE_ANSWER];
  int64_t aligned;
} device_answer;

uint8_t *device_put_u32(uint8_t *p, uint32_t value);
uint8_t *device_put_bytes(uint8_t *p, const void *bytes, size_t size);

/* Sends a message that nobody asked for. */
void device_send(device_type_t type, const uint8_t *payload, size_t size);

/* Accounts for a step of the model that took so long. */
void device_account(uint32_t ticks);

/* Replays the golden sequence; writes the payload of DEVICE_BOOT. */
size_t device_self_test(uint8_t *payload, model_state_t *state, model_scratch_t *scratch,
                        model_output_t *y);

/* The model's half */

/* A new stream. */
void model_begin(void);

/* Serves DEVICE_FRAMES or DEVICE_SAMPLES. */
int model_serve(const edgernn_link_message_t *message);

/* Runs the self-test, and begins a new stream. */
size_t model_self_test(uint8_t *payload);

/* Takes what the sensor has, and sends what the host wants of it. */
void model_poll(uint8_t wanted);

/* The sensor begins anew. */
void model_start_sensor(void);

/* Samples and events that were lost. */
uint32_t model_lost(void);

#endif
