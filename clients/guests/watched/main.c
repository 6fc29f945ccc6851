/* A guest to be watched: see ../README.md. */
#include "arch.h"
#include "console.h"
#include "gic.h"
#include "smp.h"

enum { NESTED = 3, TIMER = 27, AWAITED = 40, ENABLED = 42 };

#define TICKS_PER_SECOND 200u
#define SECONDS 10u

static volatile u32 ticks[MAX_CPUS];
static volatile u32 nested;
static volatile u32 awaited;
static volatile u32 strangers;
static volatile u32 finished;

static void next_tick(void)
{
    write_sysreg(cntv_tval_el0, frequency() / TICKS_PER_SECOND);
    write_sysreg(cntv_ctl_el0, 1);
}

static void tick(void)
{
    u32 before = nested;

    ticks[cpu_id()]++;
    next_tick();
    if (cpu_id() != 1)
        return;
    gic_sgi(TO_SELF, 0, NESTED);
    irq_unmask();
    for (u32 patience = 1000; nested == before && patience; patience--)
        ;
    irq_mask();
}

static void on_irq_of_any_kind(void)
{
    u32 iar = gic_acknowledge();

    switch (INTID(iar)) {
    case TIMER:
        tick();
        break;
    case NESTED:
        nested++;
        break;
    case AWAITED:
        awaited++;
        break;
    case SPURIOUS:
        return;
    default:
        strangers++;
    }
    gic_end(iar);
}

static void enable(void)
{
    gic_set(GICD_ISENABLER, ENABLED);
}

/* Ticking keeps a CPU that waits from missing what it waits for. */
static void tick_until(volatile u32 *condition)
{
    u64 end = counter() + SECONDS * frequency();

    gic_priority(NESTED, 0x40);
    gic_priority(TIMER, 0x80);
    gic_set(GICD_ISENABLER, TIMER);
    next_tick();
    while (!*condition && counter() < end)
        wfi();
    write_sysreg(cntv_ctl_el0, 0);
}

static void tick_on(void)
{
    tick_until(&finished);
}

static const char *be_watched(void)
{
    run_on(1, enable);
    gic_level(AWAITED, 0);
    gic_target(AWAITED, 1);
    gic_set(GICD_ISENABLER, AWAITED);
    start_on(1, tick_on);
    say("waiting for interrupt %u\n", AWAITED);
    tick_until(&awaited);
    finished = 1;
    finish(1);
    settle();
    irq_mask();

    if (!awaited)
        return fail("interrupt %u was not raised within %u seconds", AWAITED, SECONDS);
    if (awaited > 1)
        return fail("interrupt %u was taken %u times", AWAITED, awaited);
    if (strangers)
        return fail("%u interrupts came that nobody enabled", strangers);
    if (nested != ticks[1])
        return fail("%u of %u ticks of cpu 1 were interrupted", nested, ticks[1]);
    return 0;
}

void first_main(void)
{
    const char *why = start_cpus();

    if (!why && cpus < 2)
        why = fail("this takes two CPUs");
    if (!why) {
        handle_irqs_with(on_irq_of_any_kind);
        gic_reset_distributor();
        run_everywhere(gic_reset_cpu);
        irq_unmask();
        why = be_watched();
    }
    if (why)
        say("FAIL watched: %s\n", why);
    else
        say("PASS watched\n");
    power_off(why != 0);
}
