/* EOImode 1: GICC_EOIR drops the priority, GICC_DIR deactivates. */
#include "suite.h"

static void split(void) { mmio_write(GICC_CTLR, CTLR_GROUP0 | CTLR_EOIMODE); }

static void enable_equals(u32 count)
{
    for (u32 n = 0; n < count; n++)
        enable(SPI(n), 0x80);
}

const char *drop_lets_others_in(void)
{
    split();
    enable_equals(2);
    pend(SPI(0));
    TRY(acknowledge(SPI(0), "for the first"));
    pend(SPI(1));
    TRY(nothing("for an equal before the drop"));
    gic_end(SPI(0));
    REQUIRE(mmio_read(GICC_RPR) == IDLE_PRIORITY, "GICC_RPR is 0x%x after the drop", mmio_read(GICC_RPR));
    REQUIRE(is_active(SPI(0)), "GICC_EOIR has deactivated");
    TRY(acknowledge(SPI(1), "for an equal after the drop"));
    pend(SPI(0));
    gic_end(SPI(1));
    gic_deactivate(SPI(1));
    TRY(nothing("for what is active though dropped"));
    REQUIRE(is_pending(SPI(0)) && is_active(SPI(0)), "it is not pending and active");
    gic_deactivate(SPI(0));
    TRY(take(SPI(0), "once more after GICC_DIR"));
    gic_deactivate(SPI(0));
    REQUIRE(!is_active(SPI(0)) && !is_active(SPI(1)), "still active after GICC_DIR");
    return nothing("after all");
}

#define DROPPED 18u

/* Acknowledged and dropped one after the other, deactivated in another order. */
const char *deactivate_out_of_order(void)
{
    u32 active = SPI_BIT(DROPPED) - SPI_BIT(0);

    split();
    enable_equals(DROPPED);
    for (u32 n = 0; n < DROPPED; n++) {
        pend(SPI(n));
        TRY(take(SPI(n), "for each"));
    }
    REQUIRE(mmio_read(GICD_ISACTIVER + WORD1) == active, "active are 0x%x", mmio_read(GICD_ISACTIVER + WORD1));
    for (u32 n = 0; n < DROPPED; n++) {
        u32 other = n * 5 % DROPPED;        /* 5 is prime to DROPPED */

        gic_deactivate(SPI(other));
        active &= ~SPI_BIT(other);
        REQUIRE(mmio_read(GICD_ISACTIVER + WORD1) == active, "active are 0x%x, not 0x%x",
                mmio_read(GICD_ISACTIVER + WORD1), active);
    }
    mmio_write(GICD_ISPENDR + WORD1, SPI_BIT(DROPPED) - SPI_BIT(0));
    for (u32 n = 0; n < DROPPED; n++) {
        u32 iar = gic_acknowledge();

        REQUIRE(iar != SPURIOUS, "%u of %u came again", n, DROPPED);
        gic_end(iar);
        gic_deactivate(iar);
    }
    return nothing("after all");
}

/* GICC_DIR before GICC_EOIR: no more active, but its priority still runs. */
const char *deactivate_before_drop(void)
{
    split();
    enable_equals(2);
    pend(SPI(0));
    TRY(acknowledge(SPI(0), "for the first"));
    gic_deactivate(SPI(0));
    REQUIRE(!is_active(SPI(0)), "GICC_DIR does not deactivate before GICC_EOIR");
    REQUIRE(mmio_read(GICC_RPR) == 0x80, "GICC_RPR is 0x%x before the drop", mmio_read(GICC_RPR));
    pend(SPI(1));
    pend(SPI(0));
    TRY(nothing("before the drop"));
    gic_end(SPI(0));
    for (u32 n = 0; n < 2; n++) {
        u32 iar = gic_acknowledge();

        REQUIRE(iar == SPI(0) || iar == SPI(1), "GICC_IAR reads 0x%x after the drop", iar);
        gic_end(iar);
        gic_deactivate(iar);
    }
    return nothing("after all");
}

const char *split_and_nested(void)
{
    split();
    for (u32 n = 0; n < 4; n++)
        enable(SPI(n), (u8)(0xb0 - n * 0x20));
    for (u32 n = 0; n < 4; n++) {
        pend(SPI(n));
        TRY(acknowledge(SPI(n), "for each that preempts"));
    }
    for (u32 n = 4; n--; ) {
        gic_end(SPI(n));
        REQUIRE(mmio_read(GICC_RPR) == (n ? 0xb0 - (n - 1) * 0x20 : IDLE_PRIORITY), "GICC_RPR is 0x%x after drop %u",
                mmio_read(GICC_RPR), n);
    }
    REQUIRE(mmio_read(GICD_ISACTIVER + WORD1) == SPI_BIT(4) - SPI_BIT(0), "active are 0x%x after the drops",
            mmio_read(GICD_ISACTIVER + WORD1));
    for (u32 n = 0; n < 4; n++)
        gic_deactivate(SPI(n));
    REQUIRE(!mmio_read(GICD_ISACTIVER + WORD1), "active are 0x%x after GICC_DIR", mmio_read(GICD_ISACTIVER + WORD1));
    return 0;
}

static void deactivate_first(void) { gic_deactivate(SPI(0)); }

/* An SPI may be deactivated by another CPU than the one that took it, which must have EOImode 1, too. */
const char *deactivate_on_another_cpu(void)
{
    if (SKIPPED_ON_QEMU("an SPI is active per CPU"))
        return 0;
    run_everywhere(split);
    enable_equals(1);
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        pend(SPI(0));
        TRY(take(SPI(0), "on cpu 0"));
        pend(SPI(0));
        TRY(nothing("while it is active"));
        run_on(cpu, deactivate_first);
        TRY(take(SPI(0), "after another CPU's GICC_DIR"));
        gic_deactivate(SPI(0));
        REQUIRE(!is_active(SPI(0)), "still active");
    }
    return nothing("after all");
}

static void send_one(void) { gic_sgi(TO_LIST, 1, 1); }

/* SGIs of each CPU, dropped and then deactivated: the source stays a part of the interrupt. */
const char *split_sgis(void)
{
    split();
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        u32 iar = cpu << 10 | 1;

        run_on(cpu, send_one);
        TRY(acknowledge(iar, "for each source"));
        REQUIRE(is_active(1), "SGI 1 is not active");
        gic_end(iar);
        REQUIRE(is_active(1), "GICC_EOIR has deactivated SGI 1");
        gic_deactivate(iar);
        REQUIRE(!is_active(1), "SGI 1 stays active");
    }
    return nothing("after all");
}
