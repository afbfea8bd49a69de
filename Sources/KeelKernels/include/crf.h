#ifndef KEEL_CRF_H
#define KEEL_CRF_H

#include <stdint.h>

/// A linear chain of tags: the score of a path is start[first tag] + Σ emissions[t, tag] + Σ transitions[tag before, tag] + end[last tag].
typedef struct {
    int64_t batch, time, tags;
    /// [batch]
    const int64_t *lengths;
} keel_crf;

/// How many numbers of scratch all sequences take together.
int64_t keel_crf_scratch(const keel_crf *s, int32_t has_marginals);

/// ln Σ e^score over all paths, [batch]; 0 for a sequence without steps. Unless null, what is likely given the scores: `unary` [batch, time,
/// tags] of a tag at a step, 0 past the end; `pairs` [batch, tags, tags] of a tag after another, added up over the steps; `last` [batch, tags].
void keel_crf_f32(const keel_crf *s, float *sum, float *unary, float *pairs, float *last, float *scratch, const float *emissions,
                  const float *transitions, const float *start, const float *end);

/// The path of the best score [batch, time], the lower tag where two are as good, 0 past the end. `scratch` for 2 * batch * tags numbers,
/// `from` for batch * time * tags.
void keel_viterbi_f32(const keel_crf *s, int64_t *path, float *scratch, int32_t *from, const float *emissions, const float *transitions,
                      const float *start, const float *end);

// Plain loops; scratch for 2 * time * tags and for 2 * tags numbers.
#define KEEL_CRF_REFERENCE(type, suffix)                                                                               \
    void keel_reference_crf_##suffix(const keel_crf *s, type *sum, type *unary, type *pairs, type *last, double *scratch, \
                                     const type *emissions, const type *transitions, const type *start, const type *end); \
    void keel_reference_viterbi_##suffix(const keel_crf *s, int64_t *path, type *scratch, int32_t *from, const type *emissions, \
                                         const type *transitions, const type *start, const type *end);
KEEL_CRF_REFERENCE(float, f32)
KEEL_CRF_REFERENCE(double, f64)
#undef KEEL_CRF_REFERENCE

#endif
