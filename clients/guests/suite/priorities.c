/* Priority: what GICC_PMR lets through, what preempts what, and where GICC_BPR draws the line. */
#include "suite.h"

#define STEP 8u                 /* of a GIC with 5 priority bits */

const char *priority_mask_at_every_level(void)
{
    gic_set(GICD_ISENABLER, SPI(0));
    for (u32 priority = 0; priority < 0xf8; priority += STEP) {
        gic_priority(SPI(0), (u8)priority);
        mmio_write(GICC_PMR, priority);
        pend(SPI(0));
        TRY(nothing("with GICC_PMR at its priority"));
        mmio_write(GICC_PMR, priority + STEP);
        TRY(take(SPI(0), "with GICC_PMR one above its priority"));
    }
    gic_priority(SPI(0), 0xf8);
    mmio_write(GICC_PMR, 0xf8);
    pend(SPI(0));
    return nothing("for the lowest priority, which is never delivered");
}

/* A priority that was masked comes when the mask is raised, in order. */
const char *priority_mask_raised_by_steps(void)
{
    for (u32 n = 0; n < 8; n++)
        enable(SPI(n), (u8)(0x80 - n * 0x10));
    mmio_write(GICC_PMR, 0);
    mmio_write(GICD_ISPENDR + WORD1, SPI_BIT(8) - SPI_BIT(0));
    TRY(nothing("with GICC_PMR 0"));
    if (!gic_is_qemu())
        REQUIRE(mmio_read(GICC_HPPIR) == SPI(7), "GICC_HPPIR is 0x%x below the mask", mmio_read(GICC_HPPIR));
    for (u32 n = 8; n--; ) {
        mmio_write(GICC_PMR, 0x88 - n * 0x10);
        TRY(take(SPI(n), "as GICC_PMR rises"));
        TRY(nothing("before GICC_PMR rises more"));
    }
    return 0;
}

/* With GICC_BPR n the bits above n are the group: equals do not preempt, the next group does. */
const char *preemption_at_every_binary_point(void)
{
    for (u32 point = 2; point < 8; point++) {
        u32 group = 2u << point;
        u32 running = point == 7 ? 0x80 : point == 6 ? 0xf0 : 0x80 + group - STEP, equal = point == 7 ? STEP : 0x80;

        mmio_write(GICC_BPR, point);
        enable(SPI(0), (u8)running);
        enable(SPI(1), (u8)equal);
        enable(SPI(2), point == 7 ? 0 : 0x80 - STEP);
        pend(SPI(0));
        TRY(acknowledge(SPI(0), "for the first"));
        pend(SPI(1));
        if (!gic_is_qemu())
            TRY(nothing("for one of the same group"));
        pend(SPI(2));
        if (point < 7) {
            TRY(acknowledge(SPI(2), "for one of the next group"));
            gic_end(SPI(2));
        } else if (!gic_is_qemu()) {
            TRY(nothing("with GICC_BPR 7, where nothing preempts"));
        }
        gic_end(SPI(0));
        if (point == 7)
            TRY(take(SPI(2), "after the end"));
        TRY(take(SPI(1), "after the end"));
    }
    if (gic_is_qemu())
        say("   QEMU: within a group the higher priority preempts, too\n");
    return nothing("after all");
}

/* Handlers that nest as deep as there are steps: in, and out again. */
#define DEPTH 16u
static volatile u32 depth, deepest, wrong;

static void nest(void)
{
    u32 iar = gic_acknowledge(), n = iar - SPI(0);

    wrong += n != depth;
    if (++depth > deepest)
        deepest = depth;
    if (n + 1 < DEPTH) {
        pend(SPI(n + 1));
        irq_unmask();
        settle();
        irq_mask();
    }
    wrong += --depth != n;
    gic_end(iar);
}

const char *handlers_nest(void)
{
    depth = deepest = wrong = 0;
    handle_irqs_with(nest);
    for (u32 n = 0; n < DEPTH; n++)
        enable(SPI(n), (u8)(0xa0 - n * STEP));
    irq_unmask();
    pend(SPI(0));
    soon(deepest == DEPTH && !depth);
    irq_mask();
    REQUIRE(deepest == DEPTH, "%u handlers nested of %u", deepest, DEPTH);
    REQUIRE(!wrong && !depth, "%u steps were out of order", wrong);
    REQUIRE(mmio_read(GICC_RPR) == IDLE_PRIORITY, "GICC_RPR is 0x%x when all has ended", mmio_read(GICC_RPR));
    return nothing("after all");
}

const char *equal_priorities_do_not_preempt(void)
{
    for (u32 n = 0; n < 3; n++)
        enable(SPI(n), n == 2 ? 0x88 : 0x80);
    pend(SPI(0));
    TRY(acknowledge(SPI(0), "for the first"));
    pend(SPI(1));
    pend(SPI(2));
    TRY(nothing("for an equal and a lower"));
    gic_end(SPI(0));
    TRY(take(SPI(1), "after the first"));
    return take(SPI(2), "after the second");
}

/* A new priority counts at once for what is pending; what runs keeps the one with which it was acknowledged. */
const char *priority_changes(void)
{
    enable(SPI(0), 0x80);
    enable(SPI(1), 0xa0);
    pend(SPI(0));
    pend(SPI(1));
    gic_priority(SPI(1), 0x60);
    TRY(acknowledge(SPI(1), "for what was raised"));
    gic_priority(SPI(1), 0xc0);
    REQUIRE(mmio_read(GICC_RPR) == 0x60, "GICC_RPR is 0x%x, not as acknowledged", mmio_read(GICC_RPR));
    TRY(nothing("below the running priority"));
    gic_end(SPI(1));
    return take(SPI(0), "after it");
}
