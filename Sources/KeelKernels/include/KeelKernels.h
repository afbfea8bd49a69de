// KeelKernels: the numeric loops of Keel. No state, no allocation; every function trusts that its caller checked shapes.
#ifndef KEEL_KERNELS_H
#define KEEL_KERNELS_H

#include "adaptive_pool.h"
#include "arctangent.h"
#include "attention.h"
#include "conv1d.h"
#include "detection.h"
#include "dropout.h"
#include "elementwise.h"
#include "group_norm.h"
#include "host.h"
#include "image.h"
#include "indexing.h"
#include "loss.h"
#include "moving.h"
#include "normalisation.h"
#include "optimisation.h"
#include "packed.h"
#include "parallel.h"
#include "philox.h"
#include "products.h"
#include "recurrent.h"
#include "reduction.h"
#include "resize.h"
#include "rms_norm.h"
#include "rows.h"
#include "walk.h"

#endif
