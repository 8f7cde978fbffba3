/* Sound to features, in integers; edgernn/frontends/audio.py says how. */
#ifndef EDGERNN_AUDIO_H
#define EDGERNN_AUDIO_H

#include <stdint.h>

typedef struct {
  const int16_t *window;        /* Q15 */
  const int16_t *cosine;        /* Q15, one turn is `size` long, the first half of it */
  const int16_t *sine;          /* the same of -sine */
  const uint16_t *mel_weights;  /* Q15, of the bins from mel_start on */
  const uint16_t *mel_lengths;  /* bins of each of the bands + 1 segments */
  int32_t length;               /* of the window */
  int32_t hop;
  int32_t size; /* of the FFT */
  int32_t bands;
  int32_t mel_start;
  int32_t offset; /* of logarithms, Q10 */
  int64_t floor;  /* of energies */
} edgernn_audio_t;

/* a * w / 2^16, rounded down. */
static inline int32_t edgernn_mul16(int32_t a, int32_t w) {
#ifdef __ARM_ARCH_6M__ /* has no products of 64 bits */
  return (a >> 16) * w + ((int32_t)((uint32_t)(a & 0xFFFF) * (uint32_t)w) >> 16);
#else
  return (int32_t)(((int64_t)a * w) >> 16);
#endif
}

/*
 * Takes samples into the ring until `due`, those that lack for a frame, is 0. Returns how many it
 * took.
 */
int32_t edgernn_audio_take(const edgernn_audio_t *a, int16_t *ring, int32_t *at, int32_t *due,
                           const int16_t *samples, int32_t count);

/* The ring's samples, from the oldest on, times the window, in the order that the FFT takes. */
void edgernn_audio_window(const edgernn_audio_t *a, const int16_t *ring, int32_t at, int32_t *z);

/* FFT of size / 2 complex numbers, in place; every stage halves. */
void edgernn_fft(const edgernn_audio_t *a, int32_t *z);

/* The powers of the real numbers' spectrum, two words each, in place. */
void edgernn_powers(const edgernn_audio_t *a, int32_t *z);

void edgernn_mel(const edgernn_audio_t *a, const int32_t *powers, int64_t *energies);

/* Base-2 logarithm in Q16 of 1 to 2^63 - 1, and 2^x with `fraction` bits behind the point. */
int32_t edgernn_log2(int64_t x);
int32_t edgernn_power2(int32_t x, int32_t fraction);

/* 128 lines: log2(1 + i / 128) in Q16 and 2^(i / 128) in Q15. */
extern const uint16_t edgernn_log_table[129];
extern const uint16_t edgernn_power_table[129];

/* Natural logarithms in Q10. */
void edgernn_log_bands(const edgernn_audio_t *a, const int64_t *energies, int32_t *features);

/* DCT by a table in Q15; takes logarithms of the bands. */
void edgernn_cepstrum(const int16_t *table, int32_t coefficients, int32_t bands,
                      const int32_t *logs, int32_t *features);

typedef struct {
  const int16_t *emphasis; /* of each band, Q10 */
  int32_t range;
  int32_t release; /* by frame, Q16 as the level */
  int32_t least;
} edgernn_agc_t;

/* Logarithms of the bands, relative to the loudest of late, in place; `level` is carried. */
void edgernn_agc(const edgernn_agc_t *g, int32_t bands, int32_t *level, int32_t *features);

typedef struct {
  int32_t smoothing; /* Q15 */
  int32_t gain;
  int32_t root;
  int32_t scale; /* Q16 */
  int32_t bias;  /* Q10 */
  int32_t rest;
} edgernn_pcen_t;

/* Per-channel energy normalisation; `smoothed` is carried, and begins with the first energies. */
void edgernn_pcen(const edgernn_audio_t *a, const edgernn_pcen_t *p, int first,
                  const int64_t *energies, int64_t *smoothed, int32_t *features);

#endif
