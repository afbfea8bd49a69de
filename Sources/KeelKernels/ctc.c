#include "include/ctc.h"
#include "include/parallel.h"
#include "simd.h"

/// ln 0. Finite, so that differences are numbers; sums of it with any logarithm stay below `DEAD`.
#define NONE (-1e30f)
#define DEAD (-1e29f)
/// States that don't exist, before and after the others, so that a state's neighbours can always be asked.
#define MARGIN 2

static int64_t row_length(const keel_ctc *s) { return 2 * s->room + 1 + 2 * MARGIN; }
/// Rows beside those of the forward states: emissions, skips, two of backward states, weights.
#define ROWS 5
static int64_t kept_rows(const keel_ctc *s, int32_t has_posterior) { return has_posterior && s->time > 2 ? s->time : 2; }

int64_t keel_ctc_scratch(const keel_ctc *s, int32_t has_posterior) { return s->batch * (kept_rows(s, has_posterior) + ROWS) * row_length(s); }

KEEL_INLINE float log_sum(float a, float b, float c) {
    const float ab = a > b ? a : b, most = ab > c ? ab : c;
    return most + keel_log(keel_exp(a - most) + keel_exp(b - most) + keel_exp(c - most));
}

/// The states one step on, before they emit: each is reached from itself, the one before it, and, where `skip` is 0, the one before that.
KEEL_CLONES static void forwards(int64_t n, float *restrict next, const float *restrict old, const float *restrict skip, const float *restrict emitted) {
    for (int64_t i = 0; i < n; i++) next[i] = log_sum(old[i], old[i - 1], old[i - 2] + skip[i]) + emitted[i];
}

KEEL_CLONES static void backwards(int64_t n, float *restrict before, const float *restrict later, const float *restrict skip) {
    for (int64_t i = 0; i < n; i++) before[i] = log_sum(later[i], later[i + 1], later[i + 2] + skip[i + 2]);
}

/// Makes the largest 0 and gives what it was: so the states that matter keep their digits, however long the sequence.
KEEL_CLONES static float rebased(int64_t n, float *restrict states) {
    float most = NONE;
    for (int64_t i = 0; i < n; i++) most = states[i] > most ? states[i] : most;
    if (most < DEAD) return most;
    for (int64_t i = 0; i < n; i++) {
        const float moved = states[i] - most;
        states[i] = moved < NONE ? NONE : moved;
    }
    return most;
}

KEEL_CLONES static void add(int64_t n, float *restrict sum, const float *restrict x) {
    for (int64_t i = 0; i < n; i++) sum[i] += x[i];
}

KEEL_CLONES static float weigh(int64_t n, float *restrict weight, const float *restrict forward, const float *restrict backward) {
    KEEL_REASSOCIATE
    float most = NONE, sum = 0;
    for (int64_t i = 0; i < n; i++) {
        weight[i] = forward[i] + backward[i];
        most = weight[i] > most ? weight[i] : most;
    }
    for (int64_t i = 0; i < n; i++) {
        weight[i] = keel_exp(weight[i] - most);
        sum += weight[i];
    }
    return sum;
}

static void fill(int64_t n, float *x, float value) {
    for (int64_t i = 0; i < n; i++) x[i] = value;
}

/// What the states emit at a step; whether all of it is a number.
static bool emissions(const keel_ctc *s, int64_t states, const int64_t *labels, const float *x, float *emitted) {
    bool is_number = true;
    for (int64_t i = 0; i < states; i++) {
        const float value = x[i % 2 ? labels[i / 2] : s->blank];
        is_number = is_number && value == value;
        emitted[i] = value < NONE ? NONE : value;
    }
    return is_number;
}

typedef struct {
    const keel_ctc *s;
    float *loss, *posterior, *scratch;
    const float *x;
} ctc_job;

/// -ln P of one sequence; infinity where there is no path, NaN where a number that counts is.
static float sequence(const keel_ctc *s, int64_t b, float *posterior, float *scratch, const float *x) {
    const int64_t time = s->input_lengths[b], count = s->target_lengths[b], states = 2 * count + 1, row = row_length(s);
    const int64_t kept = kept_rows(s, posterior != 0), *labels = s->targets + b * s->room;
    if (time == 0) return count == 0 ? 0 : INFINITY;
    fill((kept + ROWS) * row, scratch, NONE);
    float *forward = scratch + MARGIN, *emitted = forward + kept * row, *skip = emitted + row;
    float *backward[2] = {skip + row, skip + 2 * row}, *weight = skip + 3 * row;
    for (int64_t i = 3; i < states; i += 2)
        if (labels[i / 2] != labels[i / 2 - 1]) skip[i] = 0;

    double offset = 0;
    for (int64_t t = 0; t < time; t++) {
        float *next = forward + (posterior ? t : t & 1) * row;
        if (!emissions(s, states, labels, x + t * s->classes, emitted)) return NAN;
        if (t == 0) {
            next[0] = emitted[0];
            if (count > 0) next[1] = emitted[1];
        } else {
            forwards(states, next, forward + (posterior ? t - 1 : (t - 1) & 1) * row, skip, emitted);
        }
        const float most = rebased(states, next);
        if (most < DEAD) return INFINITY;
        offset += most;
    }
    const float *last = forward + (posterior ? time - 1 : (time - 1) & 1) * row;
    const float end = log_sum(last[states - 1], last[states - 2], NONE);
    if (end < DEAD) return INFINITY;
    if (!posterior) return (float)-(offset + end);

    for (int64_t t = time - 1; t >= 0; t--) {
        float *before = backward[t & 1], *later = backward[(t + 1) & 1];
        if (t == time - 1) {
            before[states - 1] = 0;
            if (count > 0) before[states - 2] = 0;
        } else {
            emissions(s, states, labels, x + (t + 1) * s->classes, emitted);
            add(states, later, emitted);
            backwards(states, before, later, skip);
            rebased(states, before);
        }
        const float sum = weigh(states, weight, forward + t * row, before);
        float *share = posterior + t * s->classes;
        for (int64_t i = 0; i < states; i++) share[i % 2 ? labels[i / 2] : s->blank] += weight[i] / sum;
    }
    return (float)-(offset + end);
}

static void sequences(void *context, int64_t begin, int64_t end) {
    const ctc_job *j = context;
    const keel_ctc *s = j->s;
    const int64_t each = s->time * s->classes, scratch = keel_ctc_scratch(s, j->posterior != 0) / s->batch;
    for (int64_t b = begin; b < end; b++) {
        float *posterior = j->posterior ? j->posterior + b * each : 0;
        if (posterior) fill(each, posterior, 0);
        const float loss = sequence(s, b, posterior, j->scratch + b * scratch, j->x + b * each);
        if (posterior && loss != loss) fill(each, posterior, NAN);
        j->loss[b] = loss == INFINITY && s->zero_infinity ? 0 : loss;
    }
}

void keel_ctc_f32(const keel_ctc *s, float *loss, float *posterior, float *scratch, const float *x) {
    ctc_job j = {s, loss, posterior, scratch, x};
    keel_parallel(s->batch, 1, sequences, &j);
}

static double plain_log_sum(double a, double b) {
    const double most = a > b ? a : b;
    return most == -INFINITY ? most : most + log(exp(a - most) + exp(b - most));
}

#define LABEL(i) ((i) % 2 ? labels[(i) / 2] : s->blank)
#define SKIPS(i) ((i) % 2 && (i) > 1 && labels[(i) / 2] != labels[(i) / 2 - 1])

#define REFERENCE(type, suffix)                                                                                        \
    void keel_reference_ctc_##suffix(const keel_ctc *s, type *loss, type *posterior, double *scratch, const type *x) { \
        const int64_t row = 2 * s->room + 1;                                                                           \
        double *forward = scratch, *backward = scratch + s->time * row;                                                \
        for (int64_t b = 0; b < s->batch; b++, x += s->time * s->classes) {                                            \
            const int64_t time = s->input_lengths[b], count = s->target_lengths[b], states = 2 * count + 1;            \
            const int64_t *labels = s->targets + b * s->room;                                                          \
            type *share = posterior ? posterior + b * s->time * s->classes : 0;                                        \
            for (int64_t i = 0; share && i < s->time * s->classes; i++) share[i] = 0;                                  \
            for (int64_t t = 0; t < time; t++)                                                                         \
                for (int64_t i = 0; i < states; i++) {                                                                 \
                    const double *old = forward + (t - 1) * row;                                                       \
                    double sum = t == 0 ? (i < 2 ? 0 : -INFINITY) : old[i];                                            \
                    if (t > 0 && i > 0) sum = plain_log_sum(sum, old[i - 1]);                                          \
                    if (t > 0 && SKIPS(i)) sum = plain_log_sum(sum, old[i - 2]);                                       \
                    forward[t * row + i] = sum + x[t * s->classes + LABEL(i)];                                         \
                }                                                                                                      \
            double total = count == 0 ? 0 : -INFINITY;                                                                 \
            if (time > 0) {                                                                                            \
                total = forward[(time - 1) * row + states - 1];                                                        \
                if (count > 0) total = plain_log_sum(total, forward[(time - 1) * row + states - 2]);                   \
            }                                                                                                          \
            const int hopeless = total == -INFINITY;                                                                   \
            loss[b] = hopeless ? (s->zero_infinity ? 0 : INFINITY) : (type)-total;                                     \
            for (int64_t t = time - 1; t >= 0 && share && !hopeless; t--)                                              \
                for (int64_t i = 0; i < states; i++) {                                                                 \
                    const double *later = backward + (t + 1) * row;                                                    \
                    const type *next = x + (t + 1) * s->classes;                                                       \
                    double sum = i >= states - 2 ? 0 : -INFINITY;                                                      \
                    if (t < time - 1) {                                                                                \
                        sum = later[i] + next[LABEL(i)];                                                               \
                        if (i + 1 < states) sum = plain_log_sum(sum, later[i + 1] + next[LABEL(i + 1)]);               \
                        if (i + 2 < states && SKIPS(i + 2)) sum = plain_log_sum(sum, later[i + 2] + next[LABEL(i + 2)]); \
                    }                                                                                                  \
                    backward[t * row + i] = sum;                                                                       \
                    share[t * s->classes + LABEL(i)] += (type)exp(forward[t * row + i] + sum - total);                 \
                }                                                                                                      \
        }                                                                                                              \
    }
REFERENCE(float, f32)
REFERENCE(double, f64)
