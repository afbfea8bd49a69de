#define _GNU_SOURCE
#include "CSlipwaySystem.h"

#include <unistd.h>

int slipway_syncfs(int descriptor) { return syncfs(descriptor); }
