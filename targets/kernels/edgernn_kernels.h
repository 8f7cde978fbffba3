/*
 * Kernels of generated code: one function a file. The caller owns every buffer; parameters are
 * constant and live in flash. Results are bit-exact with TensorFlow Lite Micro's reference.
 */
#ifndef EDGERNN_KERNELS_H
#define EDGERNN_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/*
 * y = saturate(rescale(W x + b) + zero_point).
 *
 * `weights` is row-major. An input's zero point is part of the bias. 16-bit sums are rescaled to the upper half of their product with
 * the multiplier; 8-bit sums are doubled first, and then shifted right by one more than `shift`.
 * A step of 0 shares one multiplier and shift among the rows.
 */
typedef struct {
  const int8_t *weights;
  const int32_t *bias;
  const int32_t *multiplier;
  const int8_t *shift;
  int16_t rows, columns;
  int16_t step;
  int16_t zero_point;
} edgernn_fully_connected_t;

void edgernn_fully_connected_s8(const edgernn_fully_connected_t *fc, const int8_t *x, int8_t *y);
void edgernn_fully_connected_s16(const edgernn_fully_connected_t *fc, const int16_t *x, int16_t *y);
void edgernn_fully_connected_s8_s16(const edgernn_fully_connected_t *fc, const int8_t *x,
                                    int16_t *y);

/* The same for cores with the DSP extension: edgernn_dot_dsp.h describes the stream. */
typedef struct {
  const uint32_t *stream;
  int16_t rows, columns;
  int16_t zero_point;
} edgernn_fully_connected_dsp_t;

void edgernn_fully_connected_s8_dsp(const edgernn_fully_connected_dsp_t *fc, const int16_t *x,
                                    int8_t *y);
void edgernn_fully_connected_s16_dsp(const edgernn_fully_connected_dsp_t *fc, const int16_t *x,
                                     int16_t *y);
void edgernn_fully_connected_s8_s16_dsp(const edgernn_fully_connected_dsp_t *fc, const int16_t *x,
                                        int16_t *y);

/* The same for cores with Helium; the kernels' files describe the streams. */
void edgernn_fully_connected_s8_mve(const edgernn_fully_connected_dsp_t *fc, const int8_t *x,
                                    int8_t *y);
void edgernn_fully_connected_s16_mve(const edgernn_fully_connected_dsp_t *fc, const int16_t *x,
                                     int16_t *y);
void edgernn_fully_connected_s8_s16_mve(const edgernn_fully_connected_dsp_t *fc, const int8_t *x,
                                        int16_t *y);

/* The same for any multiplier and any weights: 64-bit accumulators, several batches. */
typedef struct {
  const int8_t *weights;
  const int64_t *bias;
  const int32_t *multiplier;
  const int8_t *shift;
  int32_t rows, columns, batches;
  int32_t step;
  int32_t input_zero_point, weight_zero_point, zero_point;
  int32_t narrow; /* the accumulator has 32 bits, and the rescaling rounds twice */
} edgernn_fully_connected_general_t;

void edgernn_fully_connected_general_s8(const edgernn_fully_connected_general_t *fc,
                                        const int8_t *x, int8_t *y);
void edgernn_fully_connected_general_s16(const edgernn_fully_connected_general_t *fc,
                                         const int16_t *x, int16_t *y);

void edgernn_softmax_s8(const int32_t exp_table[256], int32_t rows, int32_t columns,
                        const int8_t *x, int8_t *y);
void edgernn_softmax_s16(const int16_t exp_table[513], const int16_t inverse_table[513],
                         int32_t multiplier, int32_t shift, int32_t rows, int32_t columns,
                         const int16_t *x, int16_t *y);

/* Means, or sums, over the middle of three dimensions. */
typedef struct {
  int32_t outer, count, inner;
  int32_t bias; /* what the input's zero point adds to a sum */
  int32_t multiplier, shift;
  int32_t zero_point;
} edgernn_mean_t;

void edgernn_mean_s8(const edgernn_mean_t *mean, const int8_t *x, int8_t *y);
void edgernn_mean_s16(const edgernn_mean_t *mean, const int16_t *x, int16_t *y);

#endif
