/* EOImode 1: GICC_EOIR drops the priority, GICC_DIR deactivates. Between the two the interrupt itself cannot come
 * again, but others of its priority can. */
#include "scenario.h"

#define FIRST 40u           /* an edge SPI, "0" in the traces */
#define SECOND 41u          /* another of the same priority, "1" */

static volatile u32 dropped;        /* what `keep_active` left for another CPU to deactivate */
static u32 active_after_drop, active_after_deactivate;

static void window(void)
{
    irq_unmask();
    settle();
    irq_mask();
}

static void on_split(void)
{
    u32 iar = gic_acknowledge(), intid = INTID(iar);

    note('+', intid);
    if (intid == FIRST && trace_is(cpu_id(), "+0 ")) {
        gic_set(GICD_ISPENDR, SECOND);
        window();                   /* same priority: waits */
        note('.', intid);
        gic_end(iar);
        active_after_drop = (u32)gic_test(GICD_ISACTIVER, FIRST);
        window();                   /* the second is taken here */
        gic_set(GICD_ISPENDR, FIRST);
        window();                   /* the first is active: waits */
        note('-', intid);
        gic_deactivate(iar);
        window();                   /* and is taken here, once more */
        active_after_deactivate = (u32)gic_test(GICD_ISACTIVER, FIRST);
    } else {
        note('.', intid);
        gic_end(iar);
        note('-', intid);
        gic_deactivate(iar);
    }
}

static void on_keep_active(void)
{
    u32 iar = gic_acknowledge();

    note('+', INTID(iar));
    gic_end(iar);
    dropped = iar;
}

static void split_mode(void) { mmio_write(GICC_CTLR, CTLR_GROUP0 | CTLR_EOIMODE); }
static void deactivate_dropped(void) { gic_deactivate(dropped); }

/* An SPI may be deactivated by another CPU than the one that took it. */
static const char *deactivate_elsewhere(unsigned cpu)
{
    trace_clear();
    dropped = SPURIOUS;
    handle_irqs_with(on_keep_active);
    gic_set(GICD_ISPENDR, FIRST);
    if (!wait_for(dropped == FIRST))
        return fail("the interrupt to be deactivated by cpu %u did not come", cpu);
    gic_set(GICD_ISPENDR, FIRST);
    settle();
    if (!trace_is(0, "+0 "))
        return fail("an active interrupt was delivered again");
    run_on(cpu, deactivate_dropped);
    settle();
    if (!trace_is(0, "+0 +0 "))
        return fail("GICC_DIR of cpu %u did not let it come again", cpu);
    gic_deactivate(dropped);
    return gic_test(GICD_ISACTIVER, FIRST) ? fail("still active after GICC_DIR") : 0;
}

const char *eoimode1(void)
{
    static const char expected[] = "+0 .0 +1 .1 -1 -0 +0 .0 -0 ";
    const char *why;

    run_everywhere(split_mode);
    gic_set(GICD_ISENABLER, FIRST);
    gic_set(GICD_ISENABLER, SECOND);
    handle_irqs_with(on_split);
    gic_set(GICD_ISPENDR, FIRST);
    settle();
    settle();
    say("   %s\n", traces[0].text);
    if (!trace_is(0, expected))
        return fail("ran %s, not %s", traces[0].text, expected);
    if (!active_after_drop)
        return fail("GICC_EOIR deactivated");
    if (active_after_deactivate || gic_test(GICD_ISACTIVER, SECOND))
        return fail("still active after GICC_DIR");
    if (mmio_read(GICC_RPR) != IDLE_PRIORITY)
        return fail("GICC_RPR is 0x%x when idle", mmio_read(GICC_RPR));
    why = deactivate_elsewhere(0);
    if (gic_is_qemu()) {
        say("   QEMU: not deactivated from other CPUs\n");
        return why;
    }
    for (unsigned cpu = 1; !why && cpu < cpus; cpu++)
        why = deactivate_elsewhere(cpu);
    return why;
}
