#ifndef KEEL_PARALLEL_H
#define KEEL_PARALLEL_H

#include <stdint.h>

/// A piece of work over `begin..<end`.
typedef void (*keel_body)(void *context, int64_t begin, int64_t end);

/// Splits `0..<count` into contiguous parts of at least `grain` and runs them on the calling thread's libgomp team, which
/// OpenBLAS and oneDNN use too. The parts depend on count, grain and the thread count only.
void keel_parallel(int64_t count, int64_t grain, keel_body body, void *context);

/// How many threads the calling thread's next parallel region gets.
int32_t keel_thread_count(void);

/// Sets it, for the calling thread alone.
void keel_set_thread_count(int32_t count);

#endif
