#include "include/distributions.h"
#include "include/parallel.h"
#include "include/philox.h"
#include "simd.h"

typedef struct {
    uint64_t key, stream, first;
    double low, high;
    int64_t n, draws;
    const double *parameters;
    void *out;
} draw_job;

/// The words of some blocks, one after the other.
typedef struct {
    uint32_t key[2], counter[4], words[4];
    uint64_t block;
    int32_t used;
} word_source;

static word_source source(const draw_job *j, uint64_t block) {
    return (word_source){{(uint32_t)j->key, (uint32_t)(j->key >> 32)}, {0, 0, (uint32_t)j->stream, (uint32_t)(j->stream >> 32)}, {0}, block, 4};
}

static double uniform(word_source *s) {
    if (s->used == 4) {
        s->counter[0] = (uint32_t)s->block;
        s->counter[1] = (uint32_t)(s->block >> 32);
        keel_philox_block(s->counter, s->key, s->words);
        s->block++;
        s->used = 0;
    }
    const uint64_t bits = (uint64_t)s->words[s->used] << 32 | s->words[s->used + 1];
    s->used += 2;
    return ((double)(bits >> 11) + 0.5) * 0x1p-53;
}

static double normal(word_source *s) {
    const double radius = sqrt(-2 * log(uniform(s)));
    return radius * cos(6.28318530717958647693 * uniform(s));
}

static double polynomial(const double *c, int n, double x) {
    double sum = c[n - 1];
    for (int i = n - 2; i >= 0; i--) sum = sum * x + c[i];
    return sum;
}

/// The number below which a normal one lies with probability p.
static double normal_quantile(double p) {
    static const double a[] = {3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
                               4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3};
    static const double b[] = {1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
                               2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3};
    static const double c[] = {1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
                               1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double d[] = {1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
                               1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9};
    static const double e[] = {6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
                               2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double f[] = {1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
                               7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15};
    const double q = p - 0.5;
    if (fabs(q) <= 0.425) {
        const double r = 0.180625 - q * q;
        return q * polynomial(a, 8, r) / polynomial(b, 8, r);
    }
    const double r = sqrt(-log(q < 0 ? p : 1 - p));
    const double x = r <= 5 ? polynomial(c, 8, r - 1.6) / polynomial(d, 8, r - 1.6) : polynomial(e, 8, r - 5) / polynomial(f, 8, r - 5);
    return q < 0 ? -x : x;
}

static void uniforms(void *context, int64_t begin, int64_t end) {
    const draw_job *j = context;
    for (int64_t i = begin; i < end; i++) {
        word_source s = source(j, j->first + (uint64_t)i);
        ((double *)j->out)[i] = uniform(&s);
    }
}

static void truncated_normals(void *context, int64_t begin, int64_t end) {
    const draw_job *j = context;
    // Far up, probabilities are 1 to the last bit: there the mirrored limits serve.
    const int mirrored = j->low > 0;
    const double low = mirrored ? -j->high : j->low, high = mirrored ? -j->low : j->high;
    const double from = 0.5 * erfc(-low * 0.70710678118654752440), to = 0.5 * erfc(-high * 0.70710678118654752440);
    for (int64_t i = begin; i < end; i++) {
        word_source s = source(j, j->first + (uint64_t)i);
        const double x = normal_quantile(from + (to - from) * uniform(&s));
        const double kept = x < low ? low : x > high ? high : x;
        ((double *)j->out)[i] = mirrored ? -kept : kept;
    }
}

static double log_gamma_number(word_source *s, double shape) {
    // Below 1: of shape + 1, times a uniform number to the power 1 / shape.
    const double boost = shape < 1 ? log(uniform(s)) / shape : 0;
    const double d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3, c = 1 / sqrt(9 * d);
    double v = 1;
    for (int attempt = 0; attempt < KEEL_DRAW_BLOCKS / 2 - 1; attempt++) {
        const double x = normal(s), u = uniform(s), root = 1 + c * x;
        if (root <= 0) continue;
        v = root * root * root;
        if (log(u) < 0.5 * x * x + d - d * v + d * log(v)) break;
    }
    return boost + log(d * v);
}

static void log_gammas(void *context, int64_t begin, int64_t end) {
    const draw_job *j = context;
    for (int64_t i = begin; i < end; i++) {
        word_source s = source(j, j->first + (uint64_t)i * KEEL_DRAW_BLOCKS);
        ((double *)j->out)[i] = log_gamma_number(&s, j->parameters[i]);
    }
}

static double poisson_number(word_source *s, double rate) {
    if (rate < 10) {
        double p = exp(-rate), left = uniform(s), k = 0;
        while (left > p && k < 200) {
            left -= p;
            k++;
            p *= rate / k;
        }
        return k;
    }
    const double b = 0.931 + 2.53 * sqrt(rate), a = -0.059 + 0.02483 * b, inverse = 1.1239 + 1.1328 / (b - 3.4), v_r = 0.9277 - 3.6224 / (b - 2);
    for (int attempt = 0; attempt < KEEL_DRAW_BLOCKS; attempt++) {
        const double u = uniform(s) - 0.5, v = uniform(s), us = 0.5 - fabs(u), found = floor((2 * a / us + b) * u + rate + 0.43);
        if (us >= 0.07 && v <= v_r) return found;
        if (found < 0 || (us < 0.013 && v > us)) continue;
        int sign;  // lgamma would keep it in a variable that all threads share
        if (log(v * inverse / (a / (us * us) + b)) <= -rate + found * log(rate) - lgamma_r(found + 1, &sign)) return found;
    }
    return floor(rate);
}

static void poissons(void *context, int64_t begin, int64_t end) {
    const draw_job *j = context;
    for (int64_t i = begin; i < end; i++) {
        word_source s = source(j, j->first + (uint64_t)i * KEEL_DRAW_BLOCKS);
        ((double *)j->out)[i] = poisson_number(&s, j->parameters[i]);
    }
}

static void categoricals(void *context, int64_t begin, int64_t end) {
    const draw_job *j = context;
    for (int64_t i = begin; i < end; i++) {
        const double *logits = j->parameters + i / j->draws * j->n;
        double most = -INFINITY, total = 0;
        for (int64_t c = 0; c < j->n; c++) most = logits[c] > most || logits[c] != logits[c] ? logits[c] : most;
        int64_t found = -1;
        if (most - most == 0) {
            for (int64_t c = 0; c < j->n; c++) total += exp(logits[c] - most);
            word_source s = source(j, j->first + (uint64_t)i);
            double left = uniform(&s) * total;
            for (int64_t c = 0; c < j->n && left >= 0; c++) {
                const double p = exp(logits[c] - most);
                if (p > 0) found = c;
                left -= p;
            }
        }
        ((int64_t *)j->out)[i] = found;
    }
}

void keel_draw_uniform(uint64_t key, uint64_t stream, uint64_t first, int64_t count, double *out) {
    draw_job j = {.key = key, .stream = stream, .first = first, .out = out};
    keel_parallel(count, 4096, uniforms, &j);
}

void keel_draw_truncated_normal(uint64_t key, uint64_t stream, uint64_t first, int64_t count, double low, double high, double *out) {
    draw_job j = {.key = key, .stream = stream, .first = first, .low = low, .high = high, .out = out};
    keel_parallel(count, 1024, truncated_normals, &j);
}

void keel_draw_log_gamma(uint64_t key, uint64_t stream, uint64_t first, int64_t count, const double *shapes, double *out) {
    draw_job j = {.key = key, .stream = stream, .first = first, .parameters = shapes, .out = out};
    keel_parallel(count, 256, log_gammas, &j);
}

void keel_draw_poisson(uint64_t key, uint64_t stream, uint64_t first, int64_t count, const double *rates, double *out) {
    draw_job j = {.key = key, .stream = stream, .first = first, .parameters = rates, .out = out};
    keel_parallel(count, 256, poissons, &j);
}

void keel_draw_categorical(uint64_t key, uint64_t stream, uint64_t first, int64_t rows, int64_t n, int64_t draws, const double *logits, int64_t *out) {
    draw_job j = {.key = key, .stream = stream, .first = first, .n = n, .draws = draws, .parameters = logits, .out = out};
    keel_parallel(rows * draws, 1 + 4096 / (n + 1), categoricals, &j);
}
