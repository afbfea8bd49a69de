#include "include/arctangent.h"
#include "include/parallel.h"
#include "simd.h"

// A polynomial on [0, tan π/8], to which the larger angles are turned back by π/4 or π/2 (after Cephes).
KEEL_INLINE float arctangent(float x) {
    const float magnitude = __builtin_elementwise_abs(x);
    const bool far = magnitude > 2.414213562373095f, middle = magnitude > 0.4142135623730950f;
    const float turned = far ? -1.0f / magnitude : middle ? (magnitude - 1.0f) / (magnitude + 1.0f) : magnitude;
    const float turn = far ? 1.57079632679489662f : middle ? 0.78539816339744831f : 0.0f;
    const float z = turned * turned;
    float p = 8.05374449538e-2f;
    p = p * z - 1.38776856032e-1f;
    p = p * z + 1.99777106478e-1f;
    p = p * z - 3.33329491539e-1f;
    return __builtin_copysignf(turn + (p * z * turned + turned), x) + (x != x ? x : 0.0f);
}

typedef struct {
    float *y;
    const float *x;
} arctangent_job;

KEEL_CLONES static void arctangent_run(int64_t n, float *restrict y, const float *restrict x) {
    for (int64_t i = 0; i < n; i++) y[i] = arctangent(x[i]);
}

static void arctangent_part(void *context, int64_t begin, int64_t end) {
    const arctangent_job *j = context;
    arctangent_run(end - begin, j->y + begin, j->x + begin);
}

void keel_arctangent_f32(int64_t count, float *y, const float *x) {
    arctangent_job j = {y, x};
    keel_parallel(count, 16384, arctangent_part, &j);
}

void keel_reference_arctangent_f32(int64_t count, float *y, const float *x) {
    for (int64_t i = 0; i < count; i++) y[i] = (float)atan(x[i]);
}

void keel_reference_arctangent_f64(int64_t count, double *y, const double *x) {
    for (int64_t i = 0; i < count; i++) y[i] = atan(x[i]);
}
