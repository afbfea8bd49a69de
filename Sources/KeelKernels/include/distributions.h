#ifndef KEEL_DISTRIBUTIONS_H
#define KEEL_DISTRIBUTIONS_H

#include <stdint.h>

// Random numbers in double, from the blocks of a Philox stream (philox.h). Number i of most kinds is made of block first + i alone; what
// draws until it accepts has KEEL_DRAW_BLOCKS blocks of its own from first + i * KEEL_DRAW_BLOCKS on.

#define KEEL_DRAW_BLOCKS 16

/// Uniform in (0, 1), with 53 bits.
void keel_draw_uniform(uint64_t key, uint64_t stream, uint64_t first, int64_t count, double *out);
/// Normal with mean 0 and deviation 1 between two limits: the quantile (Wichura, algorithm AS 241, 1988) of a uniform number.
void keel_draw_truncated_normal(uint64_t key, uint64_t stream, uint64_t first, int64_t count, double low, double high, double *out);
/// Logarithms of gamma numbers of the given shapes and scale 1: Marsaglia and Tsang, A simple method for generating gamma variables, 2000.
void keel_draw_log_gamma(uint64_t key, uint64_t stream, uint64_t first, int64_t count, const double *shapes, double *out);
/// Poisson numbers of the given rates: by their cumulative sums below 10, else by Hörmann's transformed rejection (PTRS), 1993.
void keel_draw_poisson(uint64_t key, uint64_t stream, uint64_t first, int64_t count, const double *rates, double *out);
/// `draws` indices for each row of n logits, by their cumulative sums; -1 where a row has NaN, +infinity or only -infinity.
void keel_draw_categorical(uint64_t key, uint64_t stream, uint64_t first, int64_t rows, int64_t n, int64_t draws, const double *logits, int64_t *out);

#endif
