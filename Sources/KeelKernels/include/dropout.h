#ifndef KEEL_DROPOUT_H
#define KEEL_DROPOUT_H

#include <stdint.h>

/// y = x / (1 - rate) where the stream's number i is at least `rate`, else 0. Its own gradient, with dy for x.
void keel_dropout_f32(uint64_t key, uint64_t stream, int64_t count, float rate, float *y, const float *x);
void keel_reference_dropout_f32(uint64_t key, uint64_t stream, int64_t count, double rate, float *y, const float *x);
void keel_reference_dropout_f64(uint64_t key, uint64_t stream, int64_t count, double rate, double *y, const double *x);

#endif
