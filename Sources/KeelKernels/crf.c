#include "include/crf.h"
#include "include/parallel.h"
#include "simd.h"

/// ln 0. Finite, so that differences are numbers; sums of it with any score stay below `DEAD`.
#define NONE (-1e30f)
#define DEAD (-1e29f)

static int64_t kept_rows(const keel_crf *s, int32_t has_marginals) { return has_marginals && s->time > 2 ? s->time : 2; }

/// Of one sequence: the forward states, one row of backward ones, two for sums, and the likelihood of each tag after each other.
static int64_t scratch_each(const keel_crf *s, int32_t has_marginals) {
    return (kept_rows(s, has_marginals) + 3) * s->tags + (has_marginals ? s->tags * s->tags : 0);
}

int64_t keel_crf_scratch(const keel_crf *s, int32_t has_marginals) { return s->batch * scratch_each(s, has_marginals); }

KEEL_INLINE float bounded(float x) { return x < NONE ? NONE : x; }

/// next[j] = ln Σ_i e^(old[i] + transitions[i, j]) + emitted[j]; `most` is scratch.
KEEL_CLONES static void forwards(int64_t n, float *restrict next, float *restrict most, const float *restrict old, const float *restrict transitions,
                                 const float *restrict emitted) {
    for (int64_t j = 0; j < n; j++) {
        most[j] = NONE;
        next[j] = 0;
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            const float score = old[i] + transitions[i * n + j];
            most[j] = score > most[j] ? score : most[j];
        }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) next[j] += keel_exp(bounded(old[i] + transitions[i * n + j]) - most[j]);
    for (int64_t j = 0; j < n; j++) next[j] = bounded(most[j] + keel_log(next[j]) + emitted[j]);
}

/// weight[j] = e^(a[j] + b[j]) / its sum, and the logarithm of that sum.
KEEL_CLONES static float shares(int64_t n, float *restrict weight, const float *restrict a, const float *restrict b) {
    KEEL_REASSOCIATE
    float most = NONE, sum = 0;
    for (int64_t j = 0; j < n; j++) {
        const float score = bounded(a[j] + b[j]);
        weight[j] = score;
        most = score > most ? score : most;
    }
    for (int64_t j = 0; j < n; j++) {
        weight[j] = keel_exp(weight[j] - most);
        sum += weight[j];
    }
    for (int64_t j = 0; j < n; j++) weight[j] /= sum;
    return most + keel_log(sum);
}

/// Makes the largest 0 and gives what it was: so the scores that matter keep their digits, however long the sequence.
KEEL_CLONES static float rebased(int64_t n, float *restrict x) {
    float most = NONE;
    for (int64_t i = 0; i < n; i++) most = x[i] > most ? x[i] : most;
    for (int64_t i = 0; i < n; i++) x[i] = bounded(x[i] - most);
    return most;
}

KEEL_CLONES static void sums(int64_t n, float *restrict y, const float *restrict a, const float *restrict b) {
    for (int64_t i = 0; i < n; i++) y[i] = bounded(a[i] + b[i]);
}

KEEL_CLONES static void add_scaled(int64_t n, float *restrict sum, float factor, const float *restrict x) {
    for (int64_t i = 0; i < n; i++) sum[i] += factor * x[i];
}

typedef struct {
    const keel_crf *s;
    float *sum, *unary, *pairs, *last, *scratch;
    const float *emissions, *transitions, *start, *end;
} crf_job;

static void sequence(const crf_job *j, int64_t b) {
    const keel_crf *s = j->s;
    const int64_t n = s->tags, time = s->lengths[b];
    const bool has_marginals = j->unary != 0;
    const float *emissions = j->emissions + b * s->time * n;
    float *unary = has_marginals ? j->unary + b * s->time * n : 0, *pairs = has_marginals ? j->pairs + b * n * n : 0;
    float *last = has_marginals ? j->last + b * n : 0;
    if (has_marginals) {
        memset(unary, 0, (size_t)(s->time * n) * sizeof(float));
        memset(pairs, 0, (size_t)(n * n) * sizeof(float));
        memset(last, 0, (size_t)n * sizeof(float));
    }
    j->sum[b] = 0;
    if (time == 0) return;
    float *forward = j->scratch + b * scratch_each(s, has_marginals), *backward = forward + kept_rows(s, has_marginals) * n;
    float *later = backward + n, *weight = later + n, *steps = weight + n;
    double offset = 0;
    for (int64_t t = 0; t < time; t++) {
        float *next = forward + (has_marginals ? t : t & 1) * n;
        if (t == 0) sums(n, next, j->start, emissions);
        else forwards(n, next, weight, forward + (has_marginals ? t - 1 : (t - 1) & 1) * n, j->transitions, emissions + t * n);
        offset += rebased(n, next);
    }
    const float *final = forward + (has_marginals ? time - 1 : (time - 1) & 1) * n;
    const float rest = shares(n, weight, final, j->end);
    const bool is_possible = !(offset + rest < DEAD);
    j->sum[b] = is_possible ? (float)(offset + rest) : -INFINITY;
    if (!has_marginals || !is_possible) return;

    memcpy(unary + (time - 1) * n, weight, (size_t)n * sizeof(float));
    memcpy(last, weight, (size_t)n * sizeof(float));
    memcpy(backward, j->end, (size_t)n * sizeof(float));
    for (int64_t t = time - 2; t >= 0; t--) {
        sums(n, later, backward, emissions + (t + 1) * n);
        for (int64_t i = 0; i < n; i++) backward[i] = shares(n, steps + i * n, j->transitions + i * n, later);
        rebased(n, backward);
        shares(n, unary + t * n, forward + t * n, backward);
        for (int64_t i = 0; i < n; i++) add_scaled(n, pairs + i * n, unary[t * n + i], steps + i * n);
    }
}

static void sequences(void *context, int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; b++) sequence(context, b);
}

void keel_crf_f32(const keel_crf *s, float *sum, float *unary, float *pairs, float *last, float *scratch, const float *emissions,
                  const float *transitions, const float *start, const float *end) {
    crf_job j = {s, sum, unary, pairs, last, scratch, emissions, transitions, start, end};
    keel_parallel(s->batch, 16384 / (s->time * s->tags * s->tags + 1) + 1, sequences, &j);
}

typedef struct {
    const keel_crf *s;
    int64_t *path;
    float *scratch;
    int32_t *from;
    const float *emissions, *transitions, *start, *end;
} viterbi_job;

/// next[j] = max_i (old[i] + transitions[i, j]) + emitted[j], and the first i that gives it.
KEEL_CLONES static void best_steps(int64_t n, float *restrict next, int32_t *restrict from, const float *restrict old, const float *restrict transitions,
                                   const float *restrict emitted) {
    for (int64_t j = 0; j < n; j++) {
        next[j] = old[0] + transitions[j];
        from[j] = 0;
    }
    for (int64_t i = 1; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            const float score = old[i] + transitions[i * n + j];
            const bool is_better = score > next[j];
            next[j] = is_better ? score : next[j];
            from[j] = is_better ? (int32_t)i : from[j];
        }
    for (int64_t j = 0; j < n; j++) next[j] += emitted[j];
}

static void follow_back(const keel_crf *s, int64_t time, int64_t *path, int64_t tag, const int32_t *from) {
    for (int64_t t = time; t < s->time; t++) path[t] = 0;
    for (int64_t t = time - 1; t >= 0; t--) {
        path[t] = tag;
        tag = from[t * s->tags + tag];
    }
}

static void decode(void *context, int64_t begin, int64_t end) {
    const viterbi_job *j = context;
    const keel_crf *s = j->s;
    const int64_t n = s->tags;
    for (int64_t b = begin; b < end; b++) {
        const float *emissions = j->emissions + b * s->time * n;
        float *scores = j->scratch + 2 * b * n;
        int32_t *from = j->from + b * s->time * n;
        for (int64_t i = 0; i < n && s->lengths[b] > 0; i++) {
            scores[i] = j->start[i] + emissions[i];
            from[i] = 0;
        }
        for (int64_t t = 1; t < s->lengths[b]; t++)
            best_steps(n, scores + (t & 1) * n, from + t * n, scores + ((t - 1) & 1) * n, j->transitions, emissions + t * n);
        const float *last = scores + ((s->lengths[b] - 1) & 1) * n;
        int64_t best = 0;
        for (int64_t i = 1; i < n && s->lengths[b] > 0; i++)
            if (last[i] + j->end[i] > last[best] + j->end[best]) best = i;
        follow_back(s, s->lengths[b], j->path + b * s->time, best, from);
    }
}

void keel_viterbi_f32(const keel_crf *s, int64_t *path, float *scratch, int32_t *from, const float *emissions, const float *transitions,
                      const float *start, const float *end) {
    viterbi_job j = {s, path, scratch, from, emissions, transitions, start, end};
    keel_parallel(s->batch, 65536 / (s->time * s->tags * s->tags + 1) + 1, decode, &j);
}

static double plain_log_sum(double a, double b) {
    const double most = a > b ? a : b;
    return most == -INFINITY ? most : most + log(exp(a - most) + exp(b - most));
}

#define REFERENCE(type, suffix)                                                                                        \
    void keel_reference_crf_##suffix(const keel_crf *s, type *sum, type *unary, type *pairs, type *last, double *scratch, \
                                     const type *emissions, const type *transitions, const type *start, const type *end) { \
        const int64_t n = s->tags;                                                                                     \
        double *forward = scratch, *backward = scratch + s->time * n;                                                  \
        for (int64_t i = 0; unary && i < s->batch * s->time * n; i++) unary[i] = 0;                                    \
        for (int64_t i = 0; unary && i < s->batch * n * n; i++) pairs[i] = 0;                                          \
        for (int64_t i = 0; unary && i < s->batch * n; i++) last[i] = 0;                                               \
        for (int64_t b = 0; b < s->batch; b++) {                                                                       \
            const type *x = emissions + b * s->time * n;                                                               \
            const int64_t time = s->lengths[b];                                                                        \
            for (int64_t t = 0; t < time; t++)                                                                         \
                for (int64_t k = 0; k < n; k++) {                                                                      \
                    double total = t == 0 ? start[k] : -INFINITY;                                                      \
                    for (int64_t i = 0; t > 0 && i < n; i++)                                                           \
                        total = plain_log_sum(total, forward[(t - 1) * n + i] + transitions[i * n + k]);               \
                    forward[t * n + k] = total + x[t * n + k];                                                         \
                }                                                                                                      \
            double all = time == 0 ? 0 : -INFINITY;                                                                    \
            for (int64_t k = 0; time > 0 && k < n; k++) all = plain_log_sum(all, forward[(time - 1) * n + k] + end[k]); \
            sum[b] = (type)all;                                                                                        \
            for (int64_t t = time - 1; unary && all != -INFINITY && t >= 0; t--)                                       \
                for (int64_t i = 0; i < n; i++) {                                                                      \
                    double total = t == time - 1 ? end[i] : -INFINITY;                                                 \
                    for (int64_t k = 0; t < time - 1 && k < n; k++) {                                                  \
                        const double step = (double)transitions[i * n + k] + x[(t + 1) * n + k] + backward[(t + 1) * n + k]; \
                        total = plain_log_sum(total, step);                                                            \
                        pairs[(b * n + i) * n + k] += (type)exp(forward[t * n + i] + step - all);                      \
                    }                                                                                                  \
                    backward[t * n + i] = total;                                                                       \
                    const type share = (type)exp(forward[t * n + i] + total - all);                                    \
                    unary[(b * s->time + t) * n + i] = share;                                                          \
                    if (t == time - 1) last[b * n + i] = share;                                                        \
                }                                                                                                      \
        }                                                                                                              \
    }                                                                                                                  \
    void keel_reference_viterbi_##suffix(const keel_crf *s, int64_t *path, type *scratch, int32_t *from, const type *emissions, \
                                         const type *transitions, const type *start, const type *end) {                \
        const int64_t n = s->tags;                                                                                     \
        for (int64_t b = 0; b < s->batch; b++, path += s->time, emissions += s->time * n) {                            \
            for (int64_t t = 0; t < s->lengths[b]; t++)                                                                \
                for (int64_t k = 0; k < n; k++) {                                                                      \
                    const type *old = scratch + (t + 1) % 2 * n;                                                       \
                    type best = start[k];                                                                              \
                    from[t * n + k] = 0;                                                                               \
                    for (int64_t i = 0; t > 0 && i < n; i++)                                                           \
                        if (i == 0 || old[i] + transitions[i * n + k] > best) {                                        \
                            best = old[i] + transitions[i * n + k];                                                    \
                            from[t * n + k] = (int32_t)i;                                                              \
                        }                                                                                              \
                    scratch[t % 2 * n + k] = best + emissions[t * n + k];                                              \
                }                                                                                                      \
            const type *last = scratch + (s->lengths[b] + 1) % 2 * n;                                                  \
            int64_t best = 0;                                                                                          \
            for (int64_t i = 1; s->lengths[b] > 0 && i < n; i++)                                                       \
                if (last[i] + end[i] > last[best] + end[best]) best = i;                                               \
            follow_back(s, s->lengths[b], path, best, from);                                                           \
        }                                                                                                              \
    }
REFERENCE(float, f32)
REFERENCE(double, f64)
