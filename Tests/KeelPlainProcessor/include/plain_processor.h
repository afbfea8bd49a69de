#include <stdint.h>

/// Whether kernels see the processor of this file, not the machine's. Links it.
int32_t keel_processor_is_plain(void);
