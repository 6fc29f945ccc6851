/* The CPUs: started by PSCI, then each runs the jobs that CPU 0 hands out, with interrupts unmasked. */
#pragma once

#include "arch.h"

extern unsigned cpus;

/* Interrupt handlers of each CPU; they acknowledge and end the interrupt themselves. */
typedef void handler(void);
extern handler *volatile on_irq[MAX_CPUS];
extern handler *volatile on_fiq[MAX_CPUS];
void handle_irqs_with(handler *irq);

typedef void job(void);

/* Start every CPU that the distributor knows. Yields the reason why not, or NULL. */
const char *start_cpus(void);

/* Run `work` on `cpu` (which may be the caller's own), and return when it is done. */
void run_on(unsigned cpu, job *work);

/* Hand `work` to `cpu` without waiting; `finish` waits. The caller's own CPU is not allowed. */
void start_on(unsigned cpu, job *work);
void finish(unsigned cpu);

/* Run `work` on all CPUs at once, and return when all are done. */
void run_everywhere(job *work);

u64 psci(u64 function, u64 a, u64 b, u64 c);
__attribute__((noreturn)) void power_off(unsigned status);
