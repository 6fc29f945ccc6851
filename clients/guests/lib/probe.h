/* Accesses that may be refused: then the CPU takes a synchronous external abort, and goes on behind the access. */
#pragma once

#include "arch.h"

struct answer {
    int refused;
    u32 value;          /* 0 when refused */
};

/* `size` is 1, 2 or 4. */
struct answer probe_read(u64 address, unsigned size);

/* Yields whether the access was refused. */
int probe_write(u64 address, unsigned size, u32 value);

/* For the exception vector: does `syndrome` come from a probe of this CPU? Notes the refusal, if so. */
int probe_aborted(u64 syndrome);
