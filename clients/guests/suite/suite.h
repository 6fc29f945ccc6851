/* A scenario yields NULL when all was as the architecture says, else what was not (see `fail`).
 * It starts with the GIC cleaned, interrupts masked on CPU 0, unmasked on the others, and no handler set. It may leave
 * behind what it likes: what it has made of the GIC is cleaned away before the next. */
#pragma once

#include "arch.h"
#include "console.h"
#include "gic.h"
#include "probe.h"
#include "smp.h"

typedef const char *scenario(void);

#define REQUIRE(condition, ...) do { if (!(condition)) return fail(__VA_ARGS__); } while (0)
#define TRY(verdict) do { const char *why_ = (verdict); if (why_) return why_; } while (0)

/* The SPIs of the scenarios, all in one word of each register. 33 is the UART's. */
#define SPI(n) (34u + (n))
#define SPIS 30u
#define WORD1 4u                    /* the offset of that word in a register of one bit for each interrupt */
#define SPI_BIT(n) (4u << (n))
#define VIRTUAL_TIMER 27u
#define PHYSICAL_TIMER 30u

/* Spin until `condition` holds. A machine whose time is that of its instructions needs no patience. */
#define soon(condition) wait_up_to(gic_is_qemu() ? 4 * frequency() : frequency() / 250, condition)

/* What a CPU has acknowledged, in order, as GICC_IAR read. 1023 is counted apart. */
#define LOG 64u
struct log {
    volatile u32 count, spurious;
    volatile u32 iar[LOG];
};
extern struct log logs[MAX_CPUS];

/* A handler that acknowledges, logs and ends what comes. */
void log_interrupt(void);
void log_clear(void);
u32 log_total(void);

/* Clean GIC and CPUs, whatever state they are in. Yields what could not be cleaned, or NULL. */
const char *clean(int everywhere);

/* Interrupts of CPU 0 by polling. `when` is for the reason of a failure. */
const char *acknowledge(u32 expected, const char *when);
const char *take(u32 expected, const char *when);       /* acknowledge, and end */
const char *nothing(const char *when);                  /* GICC_IAR reads 1023 */

/* An SPI, or a private interrupt of this CPU, is given a priority and enabled. */
void enable(u32 intid, u8 priority);
static inline void pend(u32 intid) { gic_set(GICD_ISPENDR, intid); }
static inline int is_pending(u32 intid) { return gic_test(GICD_ISPENDR, intid); }
static inline int is_active(u32 intid) { return gic_test(GICD_ISACTIVER, intid); }
static inline u8 only(unsigned cpu) { return (u8)(1u << cpu); }
static inline u8 everyone(void) { return (u8)((1u << cpus) - 1); }

/* A CPU that is not this one, if there is one. */
static inline unsigned other_cpu(void) { return cpus - 1; }

/* The UART's line, SPI 33. It rises by a character, a dot; `end_line` ends a line of such, if there is one. */
void uart_raise(void);
void uart_lower(void);
void end_line(void);

/* The timers of this CPU: PPI VIRTUAL_TIMER or PHYSICAL_TIMER; the line is high from `when` on. */
void timer_arm(u32 ppi, u64 when);
void timer_stop(u32 ppi);

/* Say where the judgement is milder, and go on or leave. Xen's deviations are failures, to be explained by the number
 * of the defect; only those that have none but that of KVM's correction (F7, F17), and its refusal of accesses, are
 * named here instead. */
#define SKIPPED_ON_QEMU(what) (gic_is_qemu() && (say("   QEMU: %s\n", what), 1))
#define SKIPPED_ON_XEN(what) (gic_is_xen() && (say("   Xen: %s\n", what), 1))
