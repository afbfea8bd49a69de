#include "KeelDataKernels.h"
#include "dispatched.h"

enum { LANES = 16 };

DISPATCHED void keel_resample(const float *samples, int64_t count, const float *filters, int64_t up, int64_t down,
                              int64_t reach, float *out, int64_t out_count) {
    int64_t taps = 2 * reach + 2;
    for (int64_t j = 0; j < out_count; j++) {
        int64_t middle = j * down / up, phase = j * down % up, first = middle - reach;
        int64_t skipped = first < 0 ? -first : 0, end = first + taps > count ? count - first : taps, n = end - skipped;
        const float *x = samples + (first + skipped), *filter = filters + phase * taps + skipped;
        // Sums of fixed lanes, so that wide registers serve and the result is the same without them.
        float lanes[LANES] = {0};
        int64_t k = 0;
        for (; k + LANES <= n; k += LANES)
            for (int lane = 0; lane < LANES; lane++) lanes[lane] += x[k + lane] * filter[k + lane];
        float sum = 0;
        for (; k < n; k++) sum += x[k] * filter[k];
        for (int lane = 0; lane < LANES; lane++) sum += lanes[lane];
        out[j] = sum;
    }
}
