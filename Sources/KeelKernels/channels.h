// How the kernels of batch normalisation share out channels, and go through eight of them at once.
#ifndef KEEL_CHANNELS_H
#define KEEL_CHANNELS_H

#include "include/normalisation.h"
#include "simd.h"

// Work is handed out by group and by at most LANES lanes of it: a cache line, so that channels-last has parts enough.
#define LANES 16

KEEL_INLINE int64_t lane_parts(const keel_channels *at) { return (at->lanes + LANES - 1) / LANES; }

KEEL_INLINE int64_t work_grain(const keel_channels *at) {
    const int64_t lanes = at->lanes < LANES ? at->lanes : LANES;
    return 32768 / (at->images * at->positions * lanes + 1) + 1;
}

/// One group with many images is one item to loops over images and groups; this cuts its positions up instead.
KEEL_INLINE keel_channels spread(keel_channels at) {
    if (at.groups == 1 && at.images * at.positions > 64) {
        const int64_t all = at.images * at.positions;
        for (int64_t cut = 64; cut >= 2; cut--)
            if (all % cut == 0) return (keel_channels){cut, 1, all / cut, at.lanes};
    }
    return at;
}

/// The statistics of `lanes` channels, at most LANES, from lane `first` of a group.
void keel_part_statistics(const keel_channels *at, int64_t group, int64_t first, int64_t lanes, float *mean, float *variance, const float *x);

#endif
