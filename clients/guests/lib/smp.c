#include "smp.h"

#include "console.h"
#include "gic.h"
#include "probe.h"

#define PATIENCE 10u        /* seconds of the guest's time for another CPU, whose own waits are of half a second each */

unsigned cpus = 1;
handler *volatile on_irq[MAX_CPUS];
handler *volatile on_fiq[MAX_CPUS];

static job *volatile jobs[MAX_CPUS];
static volatile u8 online[MAX_CPUS];

extern void secondary_start(void);

unsigned interrupt_limit;
static volatile unsigned interrupts[MAX_CPUS];
static volatile u32 storms;

/* Too many: the CPU interface is switched off, so that the interrupted program gets on. */
static void enter(handler *volatile *handlers)
{
    unsigned cpu = cpu_id();

    if (interrupt_limit && ++interrupts[cpu] > interrupt_limit) {
        storms |= 1u << cpu;
        mmio_write(GICC_CTLR, 0);
    } else {
        handlers[cpu]();
    }
    sev();
}

void irq_entry(void) { enter(on_irq); }
void fiq_entry(void) { enter(on_fiq); }

u32 cpus_in_a_storm(void) { return storms; }

__attribute__((noreturn)) void power_off(unsigned status)
{
    say("EXIT: STATUS=%u\n", status);
    psci(PSCI_SYSTEM_OFF, 0, 0, 0);
    for (;;)
        wfi();
}

__attribute__((noreturn)) void unexpected_exception(u64 esr, u64 elr, u64 far)
{
    say("FAIL exception: cpu %u ESR 0x%x ELR 0x%x FAR 0x%x\n", cpu_id(), (u32)esr, (u32)elr, (u32)far);
    power_off(2);
}

u64 synchronous_entry(u64 esr, u64 elr, u64 far)
{
    if (!probe_aborted(esr))
        unexpected_exception(esr, elr, far);
    return elr + 4;
}

static void nobody_expects_it(void)
{
    say("FAIL interrupt: cpu %u took one that no scenario expects, IAR 0x%x\n", cpu_id(), gic_acknowledge());
    power_off(2);
}

void handle_irqs_with(handler *irq)
{
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        on_irq[cpu] = irq ? irq : nobody_expects_it;
        on_fiq[cpu] = nobody_expects_it;
        interrupts[cpu] = 0;
    }
    storms = 0;
    dsb();
}

void secondary_main(void)
{
    unsigned cpu = cpu_id();

    online[cpu] = 1;
    sev();
    irq_unmask();
    for (;;) {
        while (!jobs[cpu])
            wfe();
        dsb();
        jobs[cpu]();
        dsb();
        jobs[cpu] = 0;
        sev();
    }
}

const char *switch_on(unsigned cpu)
{
    u64 answer = psci(PSCI_CPU_ON, cpu, (u64)secondary_start, cpu);

    if (answer)
        return fail("PSCI CPU_ON of cpu %u answered 0x%x", cpu, (u32)answer);
    return wait_up_to(PATIENCE * frequency(), online[cpu]) ? 0 : fail("cpu %u did not arrive", cpu);
}

static void leave_for_good(void)
{
    irq_mask();
    online[cpu_id()] = 0;
    psci(PSCI_CPU_OFF, 0, 0, 0);
}

const char *switch_off(unsigned cpu)
{
    start_on(cpu, leave_for_good);
    if (!wait_up_to(PATIENCE * frequency(), !online[cpu] && psci(PSCI_AFFINITY_INFO, cpu, 0, 0) == PSCI_OFF))
        return fail("PSCI CPU_OFF did not switch cpu %u off", cpu);
    jobs[cpu] = 0;
    return 0;
}

const char *start_cpus(void)
{
    unsigned wanted = gic_cpus();

    for (unsigned cpu = 1; cpu < wanted; cpu++) {
        const char *why = switch_on(cpu);

        if (why)
            return why;
    }
    cpus = wanted;
    return 0;
}

void start_on(unsigned cpu, job *work)
{
    dsb();
    jobs[cpu] = work;
    sev();
}

void finish(unsigned cpu)
{
    u64 end = counter() + PATIENCE * frequency();

    while (jobs[cpu] && counter() < end)
        wfe();
    dsb();
    if (jobs[cpu]) {
        say("FAIL hang: cpu %u has not finished its work within %u seconds\n", cpu, PATIENCE);
        power_off(2);
    }
}

void run_on(unsigned cpu, job *work)
{
    if (cpu == cpu_id()) {
        work();
        return;
    }
    start_on(cpu, work);
    finish(cpu);
}

void run_everywhere(job *work)
{
    for (unsigned cpu = 1; cpu < cpus; cpu++)
        start_on(cpu, work);
    work();
    for (unsigned cpu = 1; cpu < cpus; cpu++)
        finish(cpu);
}
