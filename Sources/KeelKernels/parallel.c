#include "include/parallel.h"

// libgomp's entry points. Swift's clang has no omp.h, and a pragma would bring in another OpenMP runtime.
extern void GOMP_parallel(void (*function)(void *), void *data, unsigned threads, unsigned flags);
extern int omp_get_thread_num(void);
extern int omp_get_num_threads(void);
extern int omp_get_max_threads(void);
extern int omp_in_parallel(void);
extern void omp_set_num_threads(int);

typedef struct {
    int64_t count;
    keel_body body;
    void *context;
} region;

static void run_part(void *data) {
    const region *r = data;
    const int64_t part = omp_get_thread_num(), parts = omp_get_num_threads();
    const int64_t begin = r->count * part / parts, end = r->count * (part + 1) / parts;
    if (begin < end) r->body(r->context, begin, end);
}

int32_t keel_thread_count(void) { return omp_get_max_threads(); }

void keel_set_thread_count(int32_t count) { omp_set_num_threads(count); }

void keel_parallel(int64_t count, int64_t grain, keel_body body, void *context) {
    if (count <= 0) return;
    int64_t parts = grain > 0 ? count / grain : count;
    if (parts > 1 && !omp_in_parallel()) {
        const int64_t available = omp_get_max_threads();
        if (parts > available) parts = available;
        if (parts > 1) {
            region r = {count, body, context};
            GOMP_parallel(run_part, &r, (unsigned)parts, 0);
            return;
        }
    }
    body(context, 0, count);
}
