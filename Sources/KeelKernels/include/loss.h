#ifndef KEEL_LOSS_H
#define KEEL_LOSS_H

#include <stdint.h>

/// Cross-entropy of rows of logits with a target of `1 - smoothing` for the label and `smoothing / classes` for every class, each class' part
/// times its weight: a_c of class c. The loss of a row is (Σ a) * lse - Σ a_c x_c; rows with the label `ignored` have none.
typedef struct {
    int64_t rows, classes;
    double smoothing;
    int32_t labels_are_64_bit, ignores;
    int64_t ignored;
    const void *labels;
    /// A number a class, of the logits' type; null for ones.
    const void *weight;
} keel_cross_entropy;

/// `lse` receives each row's log-sum-exp, `loss` its loss, `mass` its label's weight. Returns the first row whose label is out of range, or -1.
int64_t keel_cross_entropy_f32(const keel_cross_entropy *s, float *loss, float *mass, float *lse, const float *x);
int64_t keel_reference_cross_entropy_f32(const keel_cross_entropy *s, float *loss, float *mass, float *lse, const float *x);
int64_t keel_reference_cross_entropy_f64(const keel_cross_entropy *s, double *loss, double *mass, double *lse, const double *x);

/// dx_c = dy / divisor * ((Σ a) * softmax(x)_c - a_c), from the saved log-sum-exps; dy is one number for all rows (stride 0) or one a row (1).
void keel_cross_entropy_gradient_f32(const keel_cross_entropy *s, const float *dy, int64_t dy_stride, double divisor, float *dx, const float *x,
                                     const float *lse);
void keel_reference_cross_entropy_gradient_f32(const keel_cross_entropy *s, const float *dy, int64_t dy_stride, double divisor, float *dx,
                                               const float *x, const float *lse);
void keel_reference_cross_entropy_gradient_f64(const keel_cross_entropy *s, const double *dy, int64_t dy_stride, double divisor, double *dx,
                                               const double *x, const double *lse);

#endif
