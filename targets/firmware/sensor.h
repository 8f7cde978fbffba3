/*
 * Where samples come from on this board: the one file to write for a sensor of your own, as
 * `edgernn deploy --sensor FILE.c` takes it.
 *
 * Samples are model_sample_t, BOARD_CHANNELS values each, BOARD_RATE_MILLIHZ / 1000 a second.
 */
#ifndef SENSOR_H
#define SENSOR_H

#include <stdint.h>

#include "device_board.h"

/* Begins to sample, from now on; also a second time. */
void sensor_start(void);

/* Takes the oldest samples that wait, `most` at most, and returns how many; never waits itself. */
int32_t sensor_read(model_sample_t *samples, int32_t most);

/* Samples since the start for which there was no room. */
uint32_t sensor_lost(void);

#endif
