/* The CPUs: started by PSCI, then each runs the jobs that CPU 0 hands out, with interrupts unmasked. */
#pragma once

#include "arch.h"

extern unsigned cpus;

/* Interrupt handlers of each CPU; they acknowledge and end the interrupt themselves. */
typedef void handler(void);
extern handler *volatile on_irq[MAX_CPUS];
extern handler *volatile on_fiq[MAX_CPUS];
void handle_irqs_with(handler *irq);

/* How many interrupts a CPU may take until `handle_irqs_with` is called again; 0 for as many as come. One that takes more
 * has its CPU interface switched off, and its bit set in what `cpus_in_a_storm` yields. */
extern unsigned interrupt_limit;
u32 cpus_in_a_storm(void);

typedef void job(void);

/* Start every CPU that the distributor knows. Yields the reason why not, or NULL. */
const char *start_cpus(void);

/* One of the others, by PSCI. Both yield the reason why not, or NULL; a CPU that comes again has its GIC as it finds it. */
const char *switch_on(unsigned cpu);
const char *switch_off(unsigned cpu);

/* Run `work` on `cpu` (which may be the caller's own), and return when it is done. */
void run_on(unsigned cpu, job *work);

/* Hand `work` to `cpu` without waiting; `finish` waits, and ends the whole run with a FAIL line when it takes for ever.
 * The caller's own CPU is not allowed. */
void start_on(unsigned cpu, job *work);
void finish(unsigned cpu);

/* Run `work` on all CPUs at once, and return when all are done. */
void run_everywhere(job *work);

#define PSCI_CPU_OFF 0x84000002u
#define PSCI_CPU_ON 0xc4000003u
#define PSCI_AFFINITY_INFO 0xc4000004u
#define PSCI_SYSTEM_OFF 0x84000008u
#define PSCI_OFF 1u                     /* an answer of AFFINITY_INFO */
#define PSCI_INVALID_PARAMETERS (-2l)
#define PSCI_ALREADY_ON (-4l)
u64 psci(u64 function, u64 a, u64 b, u64 c);
__attribute__((noreturn)) void power_off(unsigned status);
