#include "include/group_norm.h"
#include "simd.h"

void keel_group_factors_f32(int64_t n, int64_t channels, int64_t width, int64_t groups, float epsilon, float *mean, float *inverse,
                            float *factor, float *shift, const float *channel_mean, const float *channel_variance,
                            const float *scale, const float *bias) {
    const int64_t size = channels / groups;
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = i * width;
        for (int64_t g = 0; g < groups; g++) {
            const int64_t first = g * size;
            double sum = 0, squares = 0;
            for (int64_t k = first; k < first + size; k++) sum += channel_mean[row + k];
            const double middle = sum / (double)size;
            for (int64_t k = first; k < first + size; k++) {
                const double away = channel_mean[row + k] - middle;
                squares += channel_variance[row + k] + away * away;
            }
            const double inverted = 1 / sqrt(squares / (double)size + epsilon);
            mean[i * groups + g] = (float)middle;
            inverse[i * groups + g] = (float)inverted;
            for (int64_t k = first; k < first + size; k++) {
                const double slope = scale[k] * inverted;
                factor[row + k] = (float)slope;
                shift[row + k] = (float)(bias[k] - middle * slope);
            }
        }
        for (int64_t k = channels; k < width; k++) factor[row + k] = shift[row + k] = 0;
    }
}

void keel_group_spread_f32(int64_t n, int64_t channels, int64_t width, int64_t groups, float *out, const float *mean) {
    const int64_t size = channels / groups;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < channels; k++) out[i * width + k] = mean[i * groups + k / size];
        for (int64_t k = channels; k < width; k++) out[i * width + k] = 0;
    }
}

void keel_group_slopes_f32(int64_t n, int64_t channels, int64_t width, int64_t groups, int64_t positions, float *a, float *b, float *c,
                           float *dscale, float *dbias, const float *sum, const float *product, const float *scale, const float *mean,
                           const float *inverse) {
    const int64_t size = channels / groups;
    const double count = (double)(size * positions);
    for (int64_t k = 0; k < channels; k++) {
        double scale_sum = 0, bias_sum = 0;
        for (int64_t i = 0; i < n; i++) {
            scale_sum += (double)product[i * width + k] * inverse[i * groups + k / size];
            bias_sum += sum[i * width + k];
        }
        dscale[k] = (float)scale_sum;
        dbias[k] = (float)bias_sum;
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = i * width;
        for (int64_t g = 0; g < groups; g++) {
            const double m = mean[i * groups + g], v = inverse[i * groups + g];
            double level = 0, slope = 0;
            for (int64_t k = g * size; k < (g + 1) * size; k++) {
                level += (double)scale[k] * sum[row + k];
                slope += (double)scale[k] * product[row + k];
            }
            // dx = v * (scale * dy - level / count - (x - m) * v² * slope / count)
            const double along = -v * v * v * slope / count;
            for (int64_t k = g * size; k < (g + 1) * size; k++) {
                a[row + k] = (float)(scale[k] * v);
                b[row + k] = (float)along;
                c[row + k] = (float)(-v * level / count - along * m);
            }
        }
        for (int64_t k = channels; k < width; k++) a[row + k] = b[row + k] = c[row + k] = 0;
    }
}

#define REFERENCE(type, suffix)                                                                                        \
    void keel_reference_group_norm_##suffix(int64_t n, int64_t channels, int64_t s, int64_t groups, double epsilon,    \
                                            type *y, type *mean, type *inverse, const type *x, const type *scale,      \
                                            const type *bias) {                                                        \
        const int64_t size = channels / groups;                                                                        \
        for (int64_t r = 0; r < n * groups; r++) {                                                                     \
            const int64_t from = r * size * s;                                                                         \
            double sum = 0, squares = 0;                                                                               \
            for (int64_t i = 0; i < size * s; i++) sum += x[from + i];                                                 \
            const double m = sum / (double)(size * s);                                                                 \
            for (int64_t i = 0; i < size * s; i++) squares += (x[from + i] - m) * (x[from + i] - m);                   \
            const double v = 1 / sqrt(squares / (double)(size * s) + epsilon);                                         \
            for (int64_t i = 0; i < size * s; i++) {                                                                   \
                const int64_t k = r % groups * size + i / s;                                                           \
                y[from + i] = (type)((x[from + i] - m) * v * scale[k] + bias[k]);                                      \
            }                                                                                                          \
            mean[r] = (type)m;                                                                                         \
            inverse[r] = (type)v;                                                                                      \
        }                                                                                                              \
    }                                                                                                                  \
    void keel_reference_group_norm_gradient_##suffix(                                                                  \
        int64_t n, int64_t channels, int64_t s, int64_t groups, type *dx, type *dscale, type *dbias, const type *dy,   \
        const type *x, const type *scale, const type *mean, const type *inverse) {                                     \
        const int64_t size = channels / groups;                                                                        \
        for (int64_t k = 0; k < channels; k++) {                                                                       \
            double scale_sum = 0, bias_sum = 0;                                                                        \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                const int64_t r = i * groups + k / size;                                                               \
                for (int64_t p = 0; p < s; p++) {                                                                      \
                    const int64_t at = (i * channels + k) * s + p;                                                     \
                    scale_sum += (double)dy[at] * (x[at] - mean[r]) * inverse[r];                                      \
                    bias_sum += dy[at];                                                                                \
                }                                                                                                      \
            }                                                                                                          \
            dscale[k] = (type)scale_sum;                                                                               \
            dbias[k] = (type)bias_sum;                                                                                 \
        }                                                                                                              \
        for (int64_t r = 0; r < n * groups; r++) {                                                                     \
            const int64_t from = r * size * s;                                                                         \
            const double m = mean[r], v = inverse[r], count = (double)(size * s);                                      \
            double sum = 0, product = 0;                                                                               \
            for (int64_t i = 0; i < size * s; i++) {                                                                   \
                const double g = (double)dy[from + i] * scale[r % groups * size + i / s];                              \
                sum += g;                                                                                              \
                product += g * (x[from + i] - m) * v;                                                                  \
            }                                                                                                          \
            for (int64_t i = 0; i < size * s; i++) {                                                                   \
                const double g = (double)dy[from + i] * scale[r % groups * size + i / s];                              \
                dx[from + i] = (type)(v * (g - sum / count - (x[from + i] - m) * v * product / count));                \
            }                                                                                                          \
        }                                                                                                              \
    }
REFERENCE(float, f32)
REFERENCE(double, f64)
