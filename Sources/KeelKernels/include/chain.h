#ifndef KEEL_CHAIN_H
#define KEEL_CHAIN_H

#include "elementwise.h"

#define KEEL_MAX_LINKS 16

/// One function of a chain. Operands are inputs, and from their count on the results of earlier links.
typedef struct {
    int32_t is_binary, op, a, b;
    float p0, p1;
} keel_link;

typedef struct {
    int32_t inputs, count;
    keel_link links[KEEL_MAX_LINKS];
    const float *input[KEEL_MAX_OPERANDS - 1];
} keel_chain;

/// `y` is the last link's result; it may lie where inputs do that lie as it does. On the calling thread's team.
void keel_chain_f32(const keel_chain *chain, const keel_walk *walk, float *y);

#endif
