/* Edges, and the active state as registers show and change it. */
#include "suite.h"

const char *edge_merges(void)
{
    enable(SPI(0), 0x80);
    pend(SPI(0));
    pend(SPI(0));
    TRY(take(SPI(0), "after two edges"));
    return nothing("after what two edges became");
}

const char *edge_while_active(void)
{
    enable(SPI(0), 0x80);
    pend(SPI(0));
    TRY(acknowledge(SPI(0), "for the edge"));
    REQUIRE(is_active(SPI(0)) && !is_pending(SPI(0)), "it is not just active");
    pend(SPI(0));
    pend(SPI(0));
    REQUIRE(is_active(SPI(0)) && is_pending(SPI(0)), "it is not pending and active");
    TRY(nothing("while it is active"));
    gic_end(SPI(0));
    REQUIRE(!is_active(SPI(0)) && is_pending(SPI(0)), "it is not just pending");
    TRY(take(SPI(0), "for the edges that came while it was active"));
    return nothing("after all");
}

const char *edge_cleared_while_active(void)
{
    enable(SPI(0), 0x80);
    pend(SPI(0));
    TRY(acknowledge(SPI(0), "for the edge"));
    pend(SPI(0));
    gic_set(GICD_ICPENDR, SPI(0));
    REQUIRE(is_active(SPI(0)) && !is_pending(SPI(0)), "GICD_ICPENDR does not leave it just active");
    gic_end(SPI(0));
    return nothing("after what was cleared while active");
}

static volatile u32 seen_pending, seen_active;

static void look(void)
{
    seen_pending = mmio_read(GICD_ISPENDR + WORD1);
    seen_active = mmio_read(GICD_ICACTIVER + WORD1);
}

/* What one CPU has pending or active, another can see at once. */
const char *state_seen_by_another_cpu(void)
{
    if (cpus > 1 && SKIPPED_ON_XEN("what is in another CPU's list registers is not seen (F17)"))
        return 0;
    enable(SPI(0), 0x80);
    enable(SPI(1), 0xc0);
    pend(SPI(0));
    pend(SPI(1));
    run_on(other_cpu(), look);
    REQUIRE(seen_pending == (SPI_BIT(0) | SPI_BIT(1)), "cpu %u sees 0x%x pending", other_cpu(), seen_pending);
    TRY(acknowledge(SPI(0), "for the first"));
    run_on(other_cpu(), look);
    REQUIRE(seen_pending == SPI_BIT(1), "after the acknowledge cpu %u sees 0x%x pending", other_cpu(), seen_pending);
    REQUIRE(seen_active == SPI_BIT(0), "cpu %u sees 0x%x active", other_cpu(), seen_active);
    gic_end(SPI(0));
    run_on(other_cpu(), look);
    REQUIRE(!seen_active, "after the end cpu %u sees 0x%x active", other_cpu(), seen_active);
    return take(SPI(1), "for the second");
}

/* An interrupt that was made active by a register is not delivered until something deactivates it. */
const char *active_by_register(void)
{
    static const u32 INTIDS[] = { SPI(0), 3 };

    for (u32 n = 0; n < 2; n++) {
        u32 intid = INTIDS[n];

        gic_priority(intid, 0x80);
        gic_set(GICD_ISENABLER, intid);
        gic_set(GICD_ISACTIVER, intid);
        REQUIRE(is_active(intid), "GICD_ISACTIVER does not make %u active", intid);
        REQUIRE(mmio_read(GICC_RPR) == IDLE_PRIORITY, "GICD_ISACTIVER changes the running priority");
        if (intid < 16)
            gic_sgi(TO_SELF, 0, intid);
        else
            pend(intid);
        TRY(nothing("for what is active by GICD_ISACTIVER"));
        gic_set(GICD_ICACTIVER, intid);
        TRY(take(intid, "after GICD_ICACTIVER"));
        REQUIRE(!is_active(intid), "%u stays active", intid);
    }
    return nothing("after all");
}

/* And one that was acknowledged can be ended by a register; its priority still runs until GICC_EOIR. */
const char *inactive_by_register(void)
{
    enable(SPI(0), 0x80);
    enable(SPI(1), 0x40);
    pend(SPI(0));
    TRY(acknowledge(SPI(0), "for the first"));
    gic_set(GICD_ICACTIVER, SPI(0));
    REQUIRE(!is_active(SPI(0)), "GICD_ICACTIVER does not end it");
    REQUIRE(mmio_read(GICC_RPR) == 0x80, "GICD_ICACTIVER changes the running priority");
    pend(SPI(0));
    TRY(nothing("for an equal of the running priority"));
    pend(SPI(1));
    TRY(take(SPI(1), "for what preempts"));
    gic_end(SPI(0));
    TRY(take(SPI(0), "after GICC_EOIR"));
    REQUIRE(!mmio_read(GICD_ISACTIVER + WORD1), "still active: 0x%x", mmio_read(GICD_ISACTIVER + WORD1));
    return nothing("after all");
}

static void end_for_another(void) { gic_set(GICD_ICACTIVER, SPI(0)); }

const char *inactive_by_another_cpu(void)
{
    if (SKIPPED_ON_QEMU("an SPI is active per CPU"))
        return 0;
    enable(SPI(0), 0x80);
    pend(SPI(0));
    TRY(acknowledge(SPI(0), "for the first"));
    pend(SPI(0));
    mmio_write(GICC_APR0, 0);
    TRY(nothing("while it is active"));
    run_on(other_cpu(), end_for_another);
    TRY(take(SPI(0), "after another CPU's GICD_ICACTIVER"));
    return nothing("after all");
}
