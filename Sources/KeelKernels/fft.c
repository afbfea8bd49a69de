#include "include/fft.h"
#include "include/parallel.h"
#include "simd.h"

typedef enum { FFT_COMPLEX, FFT_REAL, FFT_INVERSE_REAL } fft_kind;

typedef struct {
    const keel_fft_plan *plan;
    fft_kind kind;
    int32_t inverse;
    int64_t n, inner, rows, lanes, groups, parts;
    double scale;
    void *y, *scratch;
    const void *x;
} fft_job;

typedef struct {
    int64_t frames, length, hop, count;
    void *y;
    const void *x;
} overlap_job;

#define REAL float
#define NAME(name) name##_f32
#include "fft_passes.h"
#undef REAL
#undef NAME
#define REAL double
#define NAME(name) name##_f64
#include "fft_passes.h"
#undef REAL
#undef NAME

// Few rows go one by one: within one, the later passes have neighbours enough.
static int64_t lanes_of(int64_t rows) { return rows < 4 ? 1 : 8; }

int64_t keel_fft_scratch(const keel_fft_plan *plan, int64_t rows) { return 4 * plan->m * lanes_of(rows); }

static void run(keel_dtype dtype, fft_job j, int64_t outer, int64_t parts) {
    j.rows = outer * j.inner;
    j.lanes = lanes_of(j.rows);
    j.groups = (j.rows + j.lanes - 1) / j.lanes;
    j.parts = parts < j.groups ? parts : j.groups;
    if (j.n > 0) keel_parallel(j.parts, 1, dtype == KEEL_FLOAT32 ? parts_f32 : parts_f64, &j);
}

void keel_fft(keel_dtype dtype, const keel_fft_plan *plan, int32_t inverse, double scale, int64_t outer, int64_t inner, void *y, const void *x,
              int64_t parts, void *scratch) {
    run(dtype, (fft_job){.plan = plan, .kind = FFT_COMPLEX, .inverse = inverse, .n = plan->n, .inner = inner, .scale = scale, .y = y, .x = x, .scratch = scratch},
        outer, parts);
}

void keel_real_fft(keel_dtype dtype, const keel_fft_plan *plan, int64_t n, double scale, int64_t outer, int64_t inner, void *y, const void *x,
                   int64_t parts, void *scratch) {
    run(dtype, (fft_job){.plan = plan, .kind = FFT_REAL, .n = n, .inner = inner, .scale = scale, .y = y, .x = x, .scratch = scratch}, outer, parts);
}

void keel_inverse_real_fft(keel_dtype dtype, const keel_fft_plan *plan, int64_t n, double scale, int64_t outer, int64_t inner, void *y,
                           const void *x, int64_t parts, void *scratch) {
    run(dtype, (fft_job){.plan = plan, .kind = FFT_INVERSE_REAL, .n = n, .inner = inner, .scale = scale, .y = y, .x = x, .scratch = scratch}, outer, parts);
}

void keel_overlap_add(keel_dtype dtype, int64_t rows, int64_t frames, int64_t length, int64_t hop, int64_t count, void *y, const void *x) {
    overlap_job j = {frames, length, hop, count, y, x};
    const int64_t work = frames * length + count + 1;
    keel_parallel(rows, (65536 + work - 1) / work, dtype == KEEL_FLOAT32 ? overlap_f32 : overlap_f64, &j);
}
