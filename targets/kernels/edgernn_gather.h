/* Looking up entries by number. */
#ifndef EDGERNN_GATHER_H
#define EDGERNN_GATHER_H

#include "edgernn_math.h"

/* `outer` tables of `length` entries of `bytes` each, from which `count` are taken. */
typedef struct {
  int32_t outer, length, bytes;
  int32_t count;
} edgernn_gather_t;

/* A number outside the table stands for its nearest entry. */
void edgernn_gather(const edgernn_gather_t *gather, const int32_t *indices, const void *x,
                    void *y);

#endif
