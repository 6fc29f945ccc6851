/* A scenario yields NULL when all was as the architecture says, else what was not (see `fail`).
 * It starts with the GIC reset, interrupts unmasked on every CPU and no handler set. */
#pragma once

#include "arch.h"
#include "console.h"
#include "gic.h"
#include "smp.h"

typedef const char *scenario(void);

scenario timer_ppi, level_spi, sgi, nested_priorities, eoimode1, masking, spi_targets, fiq_groups;

/* No scenario: the last thing done before the system is switched off. */
void still_life(void);

/* A record of what happened in which order, one for each CPU, such as "+1 +2 -2 -1 ". */
struct trace {
    unsigned length;
    char text[62];
};

extern struct trace traces[MAX_CPUS];

void trace_clear(void);
void note(char what, u32 number);
int trace_is(unsigned cpu, const char *expected);
