#ifndef KEEL_CTC_H
#define KEEL_CTC_H

#include <stdint.h>

/// Connectionist temporal classification (Graves et al., 2006): the probability of a labelling is that of all paths through `time` steps
/// that become it once repeats are merged and blanks are dropped. Its states are the labels with a blank before, between and after them.
typedef struct {
    int64_t batch, time, classes;
    /// How many labels a row of `targets` [batch, room] has room for.
    int64_t room, blank;
    int32_t zero_infinity;
    const int64_t *targets;
    /// [batch] each.
    const int64_t *input_lengths, *target_lengths;
} keel_ctc;

/// How many numbers of scratch all sequences take together.
int64_t keel_ctc_scratch(const keel_ctc *s, int32_t has_posterior);

/// loss [batch] = -ln P(target) of log-probabilities x [batch, time, classes], and, unless null, posterior [batch, time, classes]: the
/// probability, given the target, that a path is at this class at this step. Where no path makes the target the loss is infinite, or 0 if
/// `zero_infinity`, and the posterior 0.
void keel_ctc_f32(const keel_ctc *s, float *loss, float *posterior, float *scratch, const float *x);

/// Plain loops; scratch for 2 * time * (2 * room + 1) numbers.
void keel_reference_ctc_f32(const keel_ctc *s, float *loss, float *posterior, double *scratch, const float *x);
void keel_reference_ctc_f64(const keel_ctc *s, double *loss, double *posterior, double *scratch, const double *x);

#endif
