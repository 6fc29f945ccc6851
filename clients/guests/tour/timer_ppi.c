/* The virtual timer, PPI 27: a level line that is high while CNTVCT >= CNTV_CVAL and the timer is on and unmasked. */
#include "scenario.h"

#define VIRTUAL_TIMER 27u
#define TICKS 5u
#define ENABLE 1u

static struct {
    volatile u32 ticks;
    u32 early, strangers;
    u64 next, worst;
} timers[MAX_CPUS];

static u64 period(void)
{
    return frequency() / 1000;
}

static void arm(u64 when)
{
    timers[cpu_id()].next = when;
    write_sysreg(cntv_cval_el0, when);
    write_sysreg(cntv_ctl_el0, ENABLE);
    isb();
}

static void disarm(void)
{
    write_sysreg(cntv_ctl_el0, 0);
    isb();
}

static void on_tick(void)
{
    unsigned cpu = cpu_id();
    u32 iar = gic_acknowledge();
    u64 late = counter() - timers[cpu].next;

    if (iar != VIRTUAL_TIMER) {
        timers[cpu].strangers++;
        disarm();
    } else {
        if ((long)late < 0)
            timers[cpu].early++;
        else if (late > timers[cpu].worst)
            timers[cpu].worst = late;
        if (++timers[cpu].ticks < TICKS)
            arm(timers[cpu].next + period());
        else
            disarm();
    }
    gic_end(iar);
}

static void tick(void)
{
    unsigned cpu = cpu_id();

    timers[cpu].ticks = 0;
    timers[cpu].worst = 0;
    gic_set(GICD_ISENABLER, VIRTUAL_TIMER);
    arm(counter() + period());
    while (timers[cpu].ticks < TICKS && !timers[cpu].strangers) {
        irq_mask();             /* a masked interrupt still wakes WFI, so none is missed in between */
        if (timers[cpu].ticks < TICKS)
            wfi();
        irq_unmask();
    }
    settle();
}

static const char *verdict(unsigned cpu)
{
    if (timers[cpu].strangers)
        return fail("cpu %u took an interrupt that is not its timer's", cpu);
    if (timers[cpu].ticks != TICKS)
        return fail("cpu %u took %u ticks, not %u", cpu, timers[cpu].ticks, TICKS);
    if (timers[cpu].early)
        return fail("cpu %u: %u ticks came before their time", cpu, timers[cpu].early);
    return 0;
}

/* The line falls again before the CPU looks: a level leaves nothing behind. */
static const char *withdraw(void)
{
    int raised, fallen;

    timers[0].ticks = 0;
    irq_mask();
    arm(counter());
    raised = wait_for(gic_test(GICD_ISPENDR, VIRTUAL_TIMER));
    disarm();
    fallen = wait_for(!gic_test(GICD_ISPENDR, VIRTUAL_TIMER));
    irq_unmask();
    settle();
    if (!raised || !fallen)
        return fail("GICD_ISPENDR does not follow the timer's line %s", raised ? "down" : "up");
    if (timers[0].ticks)
        return fail("a withdrawn tick was delivered");
    return 0;
}

const char *timer_ppi(void)
{
    const char *why;

    handle_irqs_with(on_tick);
    tick();
    say("   cpu 0 alone: %u ticks, at most %u counts late\n", timers[0].ticks, (u32)timers[0].worst);
    why = verdict(0);
    if (!why)
        why = withdraw();
    if (why)
        return why;

    run_everywhere(tick);
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        say("   cpu %u of %u: %u ticks, at most %u counts late\n", cpu, cpus, timers[cpu].ticks, (u32)timers[cpu].worst);
        why = verdict(cpu);
        if (why)
            return why;
    }
    return 0;
}
