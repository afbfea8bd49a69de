#include "channels.h"
#include "include/parallel.h"

#define COLUMNS 64
#define BLOCK 2048
#define POSITIONS 128
#define LEAD 8

typedef struct {
    keel_channels at;
    float *out, *out2;
    const float *a, *b, *c, *d, *e;
} channel_job;

KEEL_CLONES static float sum_run(int64_t n, const float *restrict x) {
    KEEL_REASSOCIATE
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return sum;
}

KEEL_CLONES static float deviation_run(int64_t n, const float *restrict x, float mean) {
    KEEL_REASSOCIATE
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
    return sum;
}

// Joins a block's mean and sum of squared deviations to a running one (Chan, Golub and LeVeque, 1979).
KEEL_INLINE void join(double *mean, double *squares, double seen, double block_mean, double block_squares, double count) {
    const double delta = block_mean - *mean, all = seen + count;
    *mean += delta * count / all;
    *squares += block_squares + delta * delta * seen * count / all;
}

static void statistics_one_lane(const keel_channels *at, int64_t group, float *means, float *variances, const float *all) {
    double mean = 0, squares = 0, seen = 0;
    for (int64_t image = 0; image < at->images; image++) {
        const float *x = all + (image * at->groups + group) * at->positions;
        for (int64_t p = 0; p < at->positions; p += BLOCK) {
            const int64_t count = at->positions - p < BLOCK ? at->positions - p : BLOCK;
            const float block_mean = sum_run(count, x + p) / (float)count;
            join(&mean, &squares, seen, block_mean, deviation_run(count, x + p, block_mean), (double)count);
            seen += (double)count;
        }
    }
    *means = (float)mean;
    *variances = (float)(squares / seen);
}

/// Deviations from the mean of the block's first positions are summed up, in one pass; what the block's own mean is apart from that is taken
/// off afterwards. The number of lanes is a constant where this is inlined for 8 and 16: then the sums stay in registers.
KEEL_INLINE void block_each(int64_t count, int64_t lanes, int64_t step, float *restrict mean, float *restrict squares, const float *restrict x) {
    const int64_t lead = count < LEAD ? count : LEAD;
    float about[LANES] = {0}, s[LANES] = {0}, q[LANES] = {0};
    for (int64_t p = 0; p < lead; p++)
        for (int64_t l = 0; l < lanes; l++) about[l] += x[p * step + l];
    for (int64_t l = 0; l < lanes; l++) about[l] /= (float)lead;
    for (int64_t p = 0; p < count; p++)
        for (int64_t l = 0; l < lanes; l++) {
            const float deviation = x[p * step + l] - about[l];
            s[l] += deviation;
            q[l] += deviation * deviation;
        }
    for (int64_t l = 0; l < lanes; l++) {
        const float apart = s[l] / (float)count, left = q[l] - s[l] * apart;
        mean[l] = about[l] + apart;
        squares[l] = left < 0 ? 0 : left;
    }
}

KEEL_CLONES static void block_lanes(int64_t count, int64_t lanes, int64_t step, float *restrict mean, float *restrict squares, const float *restrict x) {
    if (step == 8) block_each(count, 8, 8, mean, squares, x);
    else if (lanes == 16) block_each(count, 16, step, mean, squares, x);
    else block_each(count, lanes, step, mean, squares, x);
}

static void statistics_lanes(const keel_channels *at, int64_t group, int64_t first, int64_t lanes, float *means, float *variances, const float *all) {
    double mean[LANES] = {0}, squares[LANES] = {0}, seen = 0;
    float block_mean[LANES], block_squares[LANES];
    for (int64_t image = 0; image < at->images; image++) {
        const float *x = all + (image * at->groups + group) * at->positions * at->lanes + first;
        for (int64_t p = 0; p < at->positions; p += POSITIONS) {
            const int64_t count = at->positions - p < POSITIONS ? at->positions - p : POSITIONS;
            block_lanes(count, lanes, at->lanes, block_mean, block_squares, x + p * at->lanes);
            for (int64_t l = 0; l < lanes; l++) join(&mean[l], &squares[l], seen, block_mean[l], block_squares[l], (double)count);
            seen += (double)count;
        }
    }
    for (int64_t l = 0; l < lanes; l++) {
        means[l] = (float)mean[l];
        variances[l] = (float)(squares[l] / seen);
    }
}

void keel_part_statistics(const keel_channels *at, int64_t group, int64_t first, int64_t lanes, float *mean, float *variance, const float *x) {
    if (at->lanes == 1) statistics_one_lane(at, group, mean, variance, x);
    else statistics_lanes(at, group, first, lanes, mean, variance, x);
}

static void statistics(void *context, int64_t begin, int64_t end) {
    const channel_job *j = context;
    const int64_t parts = lane_parts(&j->at);
    for (int64_t item = begin; item < end; item++) {
        const int64_t first = item % parts * LANES, channel = item / parts * j->at.lanes + first;
        const int64_t lanes = j->at.lanes - first < LANES ? j->at.lanes - first : LANES;
        keel_part_statistics(&j->at, item / parts, first, lanes, j->out + channel, j->out2 + channel, j->a);
    }
}

void keel_channel_statistics_f32(keel_channels at, float *mean, float *variance, const float *x) {
    channel_job j = {at, mean, variance, x, 0, 0, 0, 0};
    keel_parallel(at.groups * lane_parts(&at), work_grain(&at), statistics, &j);
}

KEEL_CLONES static void affine_run(int64_t n, float *restrict y, const float *restrict x, float factor, float shift) {
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * factor + shift;
}

KEEL_CLONES static void affine_lanes(int64_t positions, int64_t lanes, float *restrict y, const float *restrict x, const float *restrict factor, const float *restrict shift) {
    if (lanes == 8) {
        for (int64_t p = 0; p < positions; p++)
            for (int64_t l = 0; l < 8; l++) y[p * 8 + l] = x[p * 8 + l] * factor[l] + shift[l];
        return;
    }
    for (int64_t p = 0; p < positions; p++)
        for (int64_t l = 0; l < lanes; l++) y[p * lanes + l] = x[p * lanes + l] * factor[l] + shift[l];
}

// Images and groups together are the items here: nothing is summed up.
static void affine(void *context, int64_t begin, int64_t end) {
    const channel_job *j = context;
    const keel_channels *at = &j->at;
    for (int64_t item = begin; item < end; item++) {
        const int64_t group = item % at->groups, offset = item * at->positions * at->lanes;
        if (at->lanes == 1) affine_run(at->positions, j->out + offset, j->a + offset, j->b[group], j->c[group]);
        else affine_lanes(at->positions, at->lanes, j->out + offset, j->a + offset, j->b + group * at->lanes, j->c + group * at->lanes);
    }
}

void keel_channel_affine_f32(keel_channels at, float *y, const float *x, const float *factor, const float *shift) {
    at = spread(at);
    channel_job j = {at, y, 0, x, factor, shift, 0, 0};
    keel_parallel(at.images * at.groups, 32768 / (at.positions * at.lanes + 1) + 1, affine, &j);
}

KEEL_CLONES static float product_run(int64_t n, const float *restrict dy, const float *restrict x, float mean) {
    KEEL_REASSOCIATE
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += dy[i] * (x[i] - mean);
    return sum;
}

KEEL_INLINE void gradient_each(int64_t count, int64_t lanes, int64_t step, float *restrict sum, float *restrict product, const float *restrict dy, const float *restrict x, const float *restrict mean) {
    float s[LANES] = {0}, q[LANES] = {0};
    for (int64_t p = 0; p < count; p++)
        for (int64_t l = 0; l < lanes; l++) {
            s[l] += dy[p * step + l];
            q[l] += dy[p * step + l] * (x[p * step + l] - mean[l]);
        }
    for (int64_t l = 0; l < lanes; l++) {
        sum[l] = s[l];
        product[l] = q[l];
    }
}

KEEL_CLONES static void gradient_block(int64_t count, int64_t lanes, int64_t step, float *restrict sum, float *restrict product, const float *restrict dy, const float *restrict x, const float *restrict mean) {
    if (step == 8) gradient_each(count, 8, 8, sum, product, dy, x, mean);
    else if (lanes == 16) gradient_each(count, 16, step, sum, product, dy, x, mean);
    else gradient_each(count, lanes, step, sum, product, dy, x, mean);
}

static void gradient_sums(void *context, int64_t begin, int64_t end) {
    const channel_job *j = context;
    const keel_channels *at = &j->at;
    const int64_t parts = lane_parts(at);
    for (int64_t item = begin; item < end; item++) {
        const int64_t group = item / parts, first = item % parts * LANES;
        const int64_t lanes = at->lanes - first < LANES ? at->lanes - first : LANES;
        double sum[LANES] = {0}, product[LANES] = {0};
        float block_sum[LANES], block_product[LANES];
        for (int64_t image = 0; image < at->images; image++) {
            const int64_t offset = (image * at->groups + group) * at->positions * at->lanes + first;
            const int64_t block = at->lanes == 1 ? BLOCK : 64;
            for (int64_t p = 0; p < at->positions; p += block) {
                const int64_t count = at->positions - p < block ? at->positions - p : block;
                const float *dy = j->a + offset + p * at->lanes, *x = j->b + offset + p * at->lanes;
                if (at->lanes == 1) {
                    block_sum[0] = sum_run(count, dy);
                    block_product[0] = product_run(count, dy, x, j->c[group]);
                } else {
                    gradient_block(count, lanes, at->lanes, block_sum, block_product, dy, x, j->c + group * at->lanes + first);
                }
                for (int64_t l = 0; l < lanes; l++) {
                    sum[l] += block_sum[l];
                    product[l] += block_product[l];
                }
            }
        }
        for (int64_t l = 0; l < lanes; l++) {
            j->out[group * at->lanes + first + l] = (float)sum[l];
            j->out2[group * at->lanes + first + l] = (float)product[l];
        }
    }
}

void keel_channel_gradient_sums_f32(keel_channels at, float *sum_dy, float *sum_dy_x, const float *dy, const float *x, const float *mean) {
    channel_job j = {at, sum_dy, sum_dy_x, dy, x, mean, 0, 0};
    keel_parallel(at.groups * lane_parts(&at), work_grain(&at), gradient_sums, &j);
}

KEEL_CLONES static void gradient_run(int64_t n, float *restrict dx, const float *restrict dy, const float *restrict x, float a, float b, float c) {
    for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * a + x[i] * b + c;
}

KEEL_CLONES static void gradient_lanes(int64_t positions, int64_t lanes, float *restrict dx, const float *restrict dy, const float *restrict x, const float *restrict a, const float *restrict b, const float *restrict c) {
    if (lanes == 8) {
        for (int64_t p = 0; p < positions; p++)
            for (int64_t l = 0; l < 8; l++) dx[p * 8 + l] = dy[p * 8 + l] * a[l] + x[p * 8 + l] * b[l] + c[l];
        return;
    }
    for (int64_t p = 0; p < positions; p++)
        for (int64_t l = 0; l < lanes; l++) dx[p * lanes + l] = dy[p * lanes + l] * a[l] + x[p * lanes + l] * b[l] + c[l];
}

static void gradient(void *context, int64_t begin, int64_t end) {
    const channel_job *j = context;
    const keel_channels *at = &j->at;
    for (int64_t item = begin; item < end; item++) {
        const int64_t group = item % at->groups, offset = item * at->positions * at->lanes, channel = group * at->lanes;
        if (at->lanes == 1) gradient_run(at->positions, j->out + offset, j->a + offset, j->b + offset, j->c[group], j->d[group], j->e[group]);
        else gradient_lanes(at->positions, at->lanes, j->out + offset, j->a + offset, j->b + offset, j->c + channel, j->d + channel, j->e + channel);
    }
}

void keel_channel_gradient_f32(keel_channels at, float *dx, const float *dy, const float *x, const float *a, const float *b, const float *c) {
    at = spread(at);
    channel_job j = {at, dx, 0, dy, x, a, b, c};
    keel_parallel(at.images * at.groups, 32768 / (at.positions * at.lanes + 1) + 1, gradient, &j);
}

// Layer normalisation.

typedef struct {
    int64_t rows, n;
    float epsilon;
    float *y, *mean, *inverse;
    const float *x, *scale, *bias, *dy, *saved_mean, *saved_inverse;
} layer_job;

KEEL_CLONES static void normalise_row(int64_t n, float *restrict y, const float *restrict x, float mean, float inverse, const float *restrict scale, const float *restrict bias) {
    for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * inverse * scale[i] + bias[i];
}

static void layer_norm(void *context, int64_t begin, int64_t end) {
    const layer_job *j = context;
    for (int64_t r = begin; r < end; r++) {
        const float *x = j->x + r * j->n;
        const float mean = sum_run(j->n, x) / (float)j->n;
        const float inverse = 1.0f / sqrtf(deviation_run(j->n, x, mean) / (float)j->n + j->epsilon);
        normalise_row(j->n, j->y + r * j->n, x, mean, inverse, j->scale, j->bias);
        j->mean[r] = mean;
        j->inverse[r] = inverse;
    }
}

void keel_layer_norm_f32(int64_t rows, int64_t n, float epsilon, float *y, float *mean, float *inverse, const float *x, const float *scale, const float *bias) {
    layer_job j = {rows, n, epsilon, y, mean, inverse, x, scale, bias, 0, 0, 0};
    keel_parallel(rows, 16384 / (n + 1) + 1, layer_norm, &j);
}

KEEL_CLONES static void row_sums(int64_t n, const float *restrict dy, const float *restrict x, const float *restrict scale, float mean, float inverse, float *sum, float *product) {
    KEEL_REASSOCIATE
    float s = 0, p = 0;
    for (int64_t i = 0; i < n; i++) {
        const float g = dy[i] * scale[i];
        s += g;
        p += g * (x[i] - mean) * inverse;
    }
    *sum = s;
    *product = p;
}

KEEL_CLONES static void row_slope(int64_t n, float *restrict dx, const float *restrict dy, const float *restrict x, const float *restrict scale, float mean, float inverse, float sum, float product) {
    for (int64_t i = 0; i < n; i++) dx[i] = inverse * (dy[i] * scale[i] - sum - (x[i] - mean) * inverse * product);
}

static void layer_norm_slopes(void *context, int64_t begin, int64_t end) {
    const layer_job *j = context;
    for (int64_t r = begin; r < end; r++) {
        const float *dy = j->dy + r * j->n, *x = j->x + r * j->n;
        const float mean = j->saved_mean[r], inverse = j->saved_inverse[r];
        float sum, product;
        row_sums(j->n, dy, x, j->scale, mean, inverse, &sum, &product);
        row_slope(j->n, j->y + r * j->n, dy, x, j->scale, mean, inverse, sum / (float)j->n, product / (float)j->n);
    }
}

KEEL_CLONES static void column_sums(int64_t rows, int64_t n, int64_t columns, float *restrict dscale, float *restrict dbias, const float *restrict dy, const float *restrict x, const float *restrict mean, const float *restrict inverse) {
    double scale_total[COLUMNS] = {0}, bias_total[COLUMNS] = {0};
    for (int64_t r0 = 0; r0 < rows; r0 += 64) {
        float scale_part[COLUMNS] = {0}, bias_part[COLUMNS] = {0};
        const int64_t r1 = r0 + 64 < rows ? r0 + 64 : rows;
        for (int64_t r = r0; r < r1; r++)
            for (int64_t i = 0; i < columns; i++) {
                scale_part[i] += dy[r * n + i] * (x[r * n + i] - mean[r]) * inverse[r];
                bias_part[i] += dy[r * n + i];
            }
        for (int64_t i = 0; i < columns; i++) {
            scale_total[i] += scale_part[i];
            bias_total[i] += bias_part[i];
        }
    }
    for (int64_t i = 0; i < columns; i++) {
        dscale[i] = (float)scale_total[i];
        dbias[i] = (float)bias_total[i];
    }
}

static void layer_norm_columns(void *context, int64_t begin, int64_t end) {
    const layer_job *j = context;
    for (int64_t block = begin; block < end; block++) {
        const int64_t first = block * COLUMNS, columns = j->n - first < COLUMNS ? j->n - first : COLUMNS;
        column_sums(j->rows, j->n, columns, j->mean + first, j->inverse + first, j->dy + first, j->x + first, j->saved_mean, j->saved_inverse);
    }
}

void keel_layer_norm_gradient_f32(int64_t rows, int64_t n, float *dx, float *dscale, float *dbias, const float *dy, const float *x, const float *scale, const float *mean, const float *inverse) {
    layer_job j = {rows, n, 0, dx, dscale, dbias, x, scale, 0, dy, mean, inverse};
    keel_parallel(rows, 16384 / (n + 1) + 1, layer_norm_slopes, &j);
    keel_parallel((n + COLUMNS - 1) / COLUMNS, 32768 / (rows * COLUMNS + 1) + 1, layer_norm_columns, &j);
}

#define REFERENCE(type, suffix)                                                                                        \
    void keel_reference_batch_norm_##suffix(int64_t n, int64_t c, int64_t s, double epsilon, double least,             \
                                            double most, type *y, type *mean, type *variance, const type *x,           \
                                            const type *scale, const type *bias, const type *addend) {                 \
        for (int64_t k = 0; k < c; k++) {                                                                              \
            double sum = 0, squares = 0;                                                                               \
            for (int64_t i = 0; i < n; i++)                                                                            \
                for (int64_t p = 0; p < s; p++) sum += x[(i * c + k) * s + p];                                         \
            const double m = sum / (double)(n * s);                                                                    \
            for (int64_t i = 0; i < n; i++)                                                                            \
                for (int64_t p = 0; p < s; p++) squares += (x[(i * c + k) * s + p] - m) * (x[(i * c + k) * s + p] - m);\
            const double v = squares / (double)(n * s), inverse = 1 / sqrt(v + epsilon);                               \
            for (int64_t i = 0; i < n; i++)                                                                            \
                for (int64_t p = 0; p < s; p++) {                                                                      \
                    const int64_t at = (i * c + k) * s + p;                                                            \
                    const double z = (x[at] - m) * inverse * scale[k] + bias[k] + (addend ? addend[at] : 0);           \
                    y[at] = (type)(z < least ? least : z > most ? most : z);                                           \
                }                                                                                                      \
            mean[k] = (type)m;                                                                                         \
            variance[k] = (type)v;                                                                                     \
        }                                                                                                              \
    }                                                                                                                  \
    void keel_reference_rectified_slope_##suffix(                                                                      \
        int64_t n, int64_t c, int64_t s, double epsilon, double least, double most, type *da, const type *dy,          \
        const type *x, const type *scale, const type *bias, const type *mean, const type *variance,                    \
        const type *addend) {                                                                                          \
        for (int64_t at = 0; at < n * c * s; at++) {                                                                   \
            const int64_t k = at / s % c;                                                                              \
            const double hat = (x[at] - (double)mean[k]) / sqrt(variance[k] + epsilon);                                \
            const double z = hat * scale[k] + bias[k] + (addend ? addend[at] : 0);                                     \
            da[at] = z > least && z < most ? dy[at] : 0;                                                               \
        }                                                                                                              \
    }                                                                                                                  \
    void keel_reference_batch_norm_gradient_##suffix(                                                                  \
        int64_t n, int64_t c, int64_t s, double epsilon, type *dx, type *dscale, type *dbias, const type *dy,          \
        const type *x, const type *scale, const type *mean, const type *variance) {                                    \
        for (int64_t k = 0; k < c; k++) {                                                                              \
            double sum = 0, product = 0;                                                                               \
            const double m = mean[k], inverse = 1 / sqrt(variance[k] + epsilon), count = (double)(n * s);              \
            for (int64_t i = 0; i < n; i++)                                                                            \
                for (int64_t p = 0; p < s; p++) {                                                                      \
                    const int64_t at = (i * c + k) * s + p;                                                            \
                    sum += dy[at];                                                                                     \
                    product += dy[at] * (x[at] - m) * inverse;                                                         \
                }                                                                                                      \
            for (int64_t i = 0; i < n; i++)                                                                            \
                for (int64_t p = 0; p < s; p++) {                                                                      \
                    const int64_t at = (i * c + k) * s + p;                                                            \
                    const double hat = (x[at] - m) * inverse;                                                          \
                    dx[at] = (type)(scale[k] * inverse * (dy[at] - sum / count - hat * product / count));              \
                }                                                                                                      \
            dscale[k] = (type)product;                                                                                 \
            dbias[k] = (type)sum;                                                                                      \
        }                                                                                                              \
    }                                                                                                                  \
    void keel_reference_layer_norm_##suffix(int64_t rows, int64_t n, double epsilon, type *y, type *mean,              \
                                            type *inverse, const type *x, const type *scale, const type *bias) {       \
        for (int64_t r = 0; r < rows; r++, x += n, y += n) {                                                           \
            double sum = 0, squares = 0;                                                                               \
            for (int64_t i = 0; i < n; i++) sum += x[i];                                                               \
            const double m = sum / (double)n;                                                                          \
            for (int64_t i = 0; i < n; i++) squares += (x[i] - m) * (x[i] - m);                                        \
            const double v = 1 / sqrt(squares / (double)n + epsilon);                                                  \
            for (int64_t i = 0; i < n; i++) y[i] = (type)((x[i] - m) * v * scale[i] + bias[i]);                        \
            mean[r] = (type)m;                                                                                         \
            inverse[r] = (type)v;                                                                                      \
        }                                                                                                              \
    }                                                                                                                  \
    void keel_reference_layer_norm_gradient_##suffix(int64_t rows, int64_t n, type *dx, type *dscale, type *dbias,     \
                                                     const type *dy, const type *x, const type *scale,                 \
                                                     const type *mean, const type *inverse) {                          \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            double scale_sum = 0, bias_sum = 0;                                                                        \
            for (int64_t r = 0; r < rows; r++) {                                                                       \
                scale_sum += (double)dy[r * n + i] * (x[r * n + i] - mean[r]) * inverse[r];                            \
                bias_sum += dy[r * n + i];                                                                             \
            }                                                                                                          \
            dscale[i] = (type)scale_sum;                                                                               \
            dbias[i] = (type)bias_sum;                                                                                 \
        }                                                                                                              \
        for (int64_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {                                                 \
            double sum = 0, product = 0;                                                                               \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                sum += (double)dy[i] * scale[i];                                                                       \
                product += (double)dy[i] * scale[i] * (x[i] - mean[r]) * inverse[r];                                   \
            }                                                                                                          \
            for (int64_t i = 0; i < n; i++)                                                                            \
                dx[i] = (type)(inverse[r] * ((double)dy[i] * scale[i] - sum / (double)n -                              \
                                             (x[i] - mean[r]) * inverse[r] * product / (double)n));                    \
        }                                                                                                              \
    }
REFERENCE(float, f32)
REFERENCE(double, f64)

#define RUNNING_STATISTIC(type, name)                                                                                  \
    void name(int64_t count, type *restrict running, const type *restrict batch, type momentum, type correction) {      \
        for (int64_t i = 0; i < count; i++) running[i] += momentum * (batch[i] * correction - running[i]);              \
    }
RUNNING_STATISTIC(float, keel_running_statistic_f32)
RUNNING_STATISTIC(double, keel_running_statistic_f64)
