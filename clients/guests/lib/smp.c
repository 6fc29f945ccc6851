#include "smp.h"

#include "console.h"
#include "gic.h"

#define PSCI_CPU_ON 0xc4000003u
#define PSCI_SYSTEM_OFF 0x84000008u

unsigned cpus = 1;
handler *volatile on_irq[MAX_CPUS];
handler *volatile on_fiq[MAX_CPUS];

static job *volatile jobs[MAX_CPUS];
static volatile u8 online[MAX_CPUS];

extern void secondary_start(void);

void irq_entry(void)
{
    on_irq[cpu_id()]();
    sev();
}

void fiq_entry(void)
{
    on_fiq[cpu_id()]();
    sev();
}

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
    }
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

const char *start_cpus(void)
{
    unsigned wanted = gic_cpus();

    for (unsigned cpu = 1; cpu < wanted; cpu++) {
        u64 answer = psci(PSCI_CPU_ON, cpu, (u64)secondary_start, cpu);
        if (answer)
            return fail("PSCI CPU_ON of cpu %u answered 0x%x", cpu, (u32)answer);
        if (!wait_for(online[cpu]))
            return fail("cpu %u did not arrive", cpu);
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
    while (jobs[cpu])
        wfe();
    dsb();
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
