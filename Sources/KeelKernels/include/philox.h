#ifndef KEEL_PHILOX_H
#define KEEL_PHILOX_H

#include <stdint.h>

// Philox 4x32-10 (Salmon, Moraes, Dror and Shaw, 2011). Block b of a stream is the function's value at the counter
// (b low, b high, stream low, stream high) under the key; number i is word i % 4 of block first + i / 4.

/// One block, for tests against the published vectors and for drawing few numbers.
void keel_philox_block(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

void keel_philox_bits(uint64_t key, uint64_t stream, uint64_t first, int64_t count, uint32_t *out);
/// Uniform in [low, high): low + (high - low) * (top 24 bits / 2^24).
void keel_philox_uniform_f32(uint64_t key, uint64_t stream, uint64_t first, int64_t count, float low, float high, float *out);
/// Normal numbers, by Box and Muller: words 0 and 1 of a block give numbers 0 and 1, words 2 and 3 give numbers 2 and 3.
void keel_philox_normal_f32(uint64_t key, uint64_t stream, uint64_t first, int64_t count, float mean, float deviation, float *out);

#endif
