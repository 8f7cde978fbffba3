/* Products of matrices that are both computed, such as the scores of attention. */
#ifndef EDGERNN_BATCH_MATMUL_H
#define EDGERNN_BATCH_MATMUL_H

#include <stdint.h>

/*
 * y[row, column] = sum over i of a[row, i] b[i, column], for each of `batches` pairs of matrices.
 *
 * Steps are in elements, so that either matrix may be stored transposed; a batch step of 0 shares
 * one matrix among the batches. y is dense.
 */
typedef struct {
  int32_t batches, rows, columns, depth;
  int32_t a_batch, a_row, a_step;
  int32_t b_batch, b_column, b_step;
} edgernn_batch_matmul_t;

/* What turns a sum into an integer of y. Zero points are 0 in 16 bits. */
typedef struct {
  int32_t a_zero_point, b_zero_point, zero_point;
  int32_t multiplier, shift;
} edgernn_batch_matmul_scale_t;

void edgernn_batch_matmul_s8(const edgernn_batch_matmul_t *shape,
                             const edgernn_batch_matmul_scale_t *scale, const int8_t *a,
                             const int8_t *b, int8_t *y);
void edgernn_batch_matmul_s16(const edgernn_batch_matmul_t *shape,
                              const edgernn_batch_matmul_scale_t *scale, const int16_t *a,
                              const int16_t *b, int16_t *y);
void edgernn_batch_matmul_f32(const edgernn_batch_matmul_t *shape, const float *a, const float *b,
                              float *y);

#endif
