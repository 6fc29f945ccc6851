/* Timer storms: both timers of every CPU at once, at short intervals. */
#include "suite.h"

#define TICKS 12u

static struct {
    volatile u32 ticks, early, spurious;
    volatile u64 next;
} timers[MAX_CPUS][2];
static volatile u32 strangers, spurious;

static u64 period(void) { return frequency() / 20000; }     /* 50 microseconds */
static u32 ppi_of(unsigned timer) { return timer ? PHYSICAL_TIMER : VIRTUAL_TIMER; }

static void on_tick(void)
{
    unsigned cpu = cpu_id(), timer;
    u32 iar = gic_acknowledge();

    if (iar == SPURIOUS) {
        spurious++;
        return;
    }
    if (iar != VIRTUAL_TIMER && iar != PHYSICAL_TIMER) {
        strangers++;
        gic_end(iar);
        return;
    }
    timer = iar == PHYSICAL_TIMER;
    timers[cpu][timer].early += counter() < timers[cpu][timer].next;
    if (++timers[cpu][timer].ticks < TICKS) {
        timers[cpu][timer].next += period();
        timer_arm(iar, timers[cpu][timer].next);
    } else {
        timer_stop(iar);
    }
    gic_end(iar);
}

/* The two timers of a CPU are half a period apart, and the CPUs' some way from each other. */
static void tick(void)
{
    unsigned cpu = cpu_id();
    u64 start = counter() + period() + cpu * period() / MAX_CPUS;

    for (unsigned timer = 0; timer < 2; timer++) {
        timers[cpu][timer].ticks = timers[cpu][timer].early = 0;
        timers[cpu][timer].next = start + timer * period() / 2;
        enable(ppi_of(timer), timer ? 0x60 : 0x80);
        timer_arm(ppi_of(timer), timers[cpu][timer].next);
    }
    irq_unmask();
    soon(timers[cpu][0].ticks >= TICKS && timers[cpu][1].ticks >= TICKS);
    settle();
}

const char *timer_storm(void)
{
    strangers = spurious = 0;
    handle_irqs_with(on_tick);
    run_everywhere(tick);
    irq_mask();
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        for (unsigned timer = 0; timer < 2; timer++) {
            REQUIRE(timers[cpu][timer].ticks == TICKS, "cpu %u took %u ticks of PPI %u, not %u", cpu,
                    timers[cpu][timer].ticks, ppi_of(timer), TICKS);
            REQUIRE(!timers[cpu][timer].early, "cpu %u: %u ticks of PPI %u came early", cpu, timers[cpu][timer].early,
                    ppi_of(timer));
        }
    REQUIRE(!strangers, "%u interrupts came that are no timer's", strangers);
    REQUIRE(!spurious, "%u interrupts came for nothing", spurious);
    REQUIRE(!is_pending(VIRTUAL_TIMER) && !is_pending(PHYSICAL_TIMER), "a stopped timer is still pending");
    return 0;
}

/* Both timers at the same moment on every CPU: the higher priority first, and it preempts. */
static void both_at_once(void)
{
    u64 when = counter() + period();

    for (unsigned timer = 0; timer < 2; timer++) {
        timers[cpu_id()][timer].ticks = TICKS - 1;
        timers[cpu_id()][timer].early = 0;
        timers[cpu_id()][timer].next = when;
        enable(ppi_of(timer), timer ? 0x60 : 0x80);
        timer_arm(ppi_of(timer), when);
    }
    irq_unmask();
    soon(timers[cpu_id()][0].ticks >= TICKS && timers[cpu_id()][1].ticks >= TICKS);
    settle();
}

const char *timers_at_once(void)
{
    strangers = spurious = 0;
    handle_irqs_with(on_tick);
    run_everywhere(both_at_once);
    irq_mask();
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        for (unsigned timer = 0; timer < 2; timer++)
            REQUIRE(timers[cpu][timer].ticks == TICKS && !timers[cpu][timer].early, "cpu %u took %u ticks of PPI %u",
                    cpu, timers[cpu][timer].ticks + 1 - TICKS, ppi_of(timer));
    REQUIRE(!strangers && !spurious, "%u interrupts came for nothing", strangers + spurious);
    return 0;
}
