#include "KeelDataKernels.h"
#include "dispatched.h"

enum { LANES = 16 };

/// Sums of fixed lanes, so that wide registers serve and the result is the same without them.
static inline __attribute__((always_inline)) float dot(const float *x, const float *filter, int64_t n) {
    float lanes[LANES] = {0};
    int64_t k = 0;
    for (; k + LANES <= n; k += LANES)
        for (int lane = 0; lane < LANES; lane++) lanes[lane] += x[k + lane] * filter[k + lane];
    float sum = 0;
    for (; k < n; k++) sum += x[k] * filter[k];
    for (int lane = 0; lane < LANES; lane++) sum += lanes[lane];
    return sum;
}

DISPATCHED void keel_resample(const float *samples, int64_t count, const float *filters, int64_t phases, int64_t up,
                              int64_t down, int64_t reach, float *out, int64_t out_count) {
    int64_t taps = 2 * reach + 2;
    for (int64_t j = 0; j < out_count; j++) {
        int64_t middle = j * down / up, step = j * down % up * phases, row = step / up, rest = step % up;
        int64_t first = middle - reach, skipped = first < 0 ? -first : 0;
        int64_t end = first + taps > count ? count - first : taps, n = end - skipped;
        const float *x = samples + (first + skipped), *filter = filters + row * taps + skipped;
        float sum = dot(x, filter, n);
        if (rest) sum += (dot(x, filter + taps, n) - sum) * ((float)rest / (float)up);
        out[j] = sum;
    }
}
