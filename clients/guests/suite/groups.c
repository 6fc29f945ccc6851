/* Groups: 0 by GICC_IAR, as FIQ if GICC_CTLR says so; 1 by the aliased registers, or by GICC_IAR with AckCtl. */
#include "suite.h"

#define GROUP0_SGI 8u
#define GROUP1_SGI 9u

static volatile u32 fiqs, irqs;
static volatile u32 fiq_iar, irq_iar, irq_aiar;

static void on_group0(void)
{
    fiq_iar = gic_acknowledge();
    fiqs++;
    gic_end(fiq_iar);
}

static void on_group1(void)
{
    irqs++;
    irq_iar = gic_is_qemu() ? OTHER_GROUP : gic_acknowledge();      /* refused: it is of the other group */
    irq_aiar = gic_is_qemu() ? gic_acknowledge() : mmio_read(GICC_AIAR);
    mmio_write(gic_is_qemu() ? GICC_EOIR : GICC_AEOIR, irq_aiar);
}

#define NO_GROUPS() SKIPPED_ON_XEN("no interrupt changes its group (F7)")

/* QEMU has no aliased registers; there GICC_IAR takes both groups. */
static void send_both(void)
{
    mmio_write(GICD_IGROUPR, 1u << GROUP1_SGI);
    mmio_write(GICC_CTLR, CTLR_GROUP0 | CTLR_GROUP1 | CTLR_FIQEN | (gic_is_qemu() ? CTLR_ACKCTL : 0));
    gic_sgi(TO_SELF, 0, GROUP0_SGI);
    soon(fiqs);
    gic_sgi(TO_SELF, 0, GROUP1_SGI);
    soon(irqs);
}

const char *group_0_as_fiq(void)
{
    if (NO_GROUPS())
        return 0;
    handle_irqs_with(on_group1);
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        on_fiq[cpu] = on_group0;
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        u32 self = cpu << 10;

        fiqs = irqs = 0;
        if (!cpu)
            irq_unmask();
        run_on(cpu, send_both);
        irq_mask();
        REQUIRE(fiqs == 1 && irqs == 1, "cpu %u took %u FIQs and %u IRQs", cpu, fiqs, irqs);
        REQUIRE(fiq_iar == (self | GROUP0_SGI), "GICC_IAR was 0x%x in the FIQ handler", fiq_iar);
        REQUIRE(irq_iar == OTHER_GROUP && irq_aiar == (self | GROUP1_SGI),
                "GICC_IAR was 0x%x and GICC_AIAR 0x%x in the IRQ handler", irq_iar, irq_aiar);
    }
    return 0;
}

const char *group_1_by_its_registers(void)
{
    if (NO_GROUPS() || SKIPPED_ON_QEMU("has no registers for group 1"))
        return 0;
    mmio_write(GICC_CTLR, CTLR_GROUP0 | CTLR_GROUP1);
    mmio_write(GICD_IGROUPR + WORD1, SPI_BIT(0));
    enable(SPI(0), 0x80);
    enable(SPI(1), 0xa0);
    pend(SPI(0));
    TRY(acknowledge(OTHER_GROUP, "for group 1"));
    REQUIRE(mmio_read(GICC_HPPIR) == OTHER_GROUP, "GICC_HPPIR is 0x%x", mmio_read(GICC_HPPIR));
    REQUIRE(mmio_read(GICC_AHPPIR) == SPI(0), "GICC_AHPPIR is 0x%x", mmio_read(GICC_AHPPIR));
    pend(SPI(1));
    REQUIRE(mmio_read(GICC_AIAR) == SPI(0), "GICC_AIAR does not acknowledge group 1");
    REQUIRE(mmio_read(GICC_AIAR) == SPURIOUS && mmio_read(GICC_AHPPIR) == SPURIOUS, "group 0 in group 1's registers");
    mmio_write(GICC_AEOIR, SPI(0));
    REQUIRE(!is_active(SPI(0)), "GICC_AEOIR does not end it");
    return take(SPI(1), "for group 0");
}

const char *ack_control(void)
{
    if (NO_GROUPS())
        return 0;
    mmio_write(GICC_CTLR, CTLR_GROUP0 | CTLR_GROUP1 | CTLR_ACKCTL);
    mmio_write(GICD_IGROUPR + WORD1, SPI_BIT(0));
    REQUIRE(mmio_read(GICD_IGROUPR + WORD1) == SPI_BIT(0), "GICD_IGROUPR1 is 0x%x", mmio_read(GICD_IGROUPR + WORD1));
    enable(SPI(0), 0x80);
    enable(SPI(1), 0xa0);
    pend(SPI(0));
    pend(SPI(1));
    TRY(take(SPI(0), "for group 1 with AckCtl"));
    return take(SPI(1), "for group 0");
}

/* A group that the CPU interface does not enable waits, and does not hide the other. */
const char *disabled_group(void)
{
    if (NO_GROUPS() || SKIPPED_ON_QEMU("a disabled group hides the other"))
        return 0;
    mmio_write(GICD_IGROUPR + WORD1, SPI_BIT(0));
    enable(SPI(0), 0x40);
    enable(SPI(1), 0x80);
    pend(SPI(0));
    TRY(nothing("for the group that is not enabled"));
    pend(SPI(1));
    TRY(take(SPI(1), "for the group that is enabled"));
    TRY(nothing("for the group that is not enabled"));
    mmio_write(GICC_CTLR, CTLR_GROUP0 | CTLR_GROUP1 | CTLR_ACKCTL);
    return take(SPI(0), "when its group was enabled");
}

/* GICC_ABPR is group 1's binary point, until CBPR says that GICC_BPR serves both. */
const char *binary_point_of_group_1(void)
{
    if (NO_GROUPS() || SKIPPED_ON_QEMU("within a group the higher priority preempts"))
        return 0;
    mmio_write(GICD_IGROUPR + WORD1, ~0u);
    mmio_write(GICC_BPR, 2);
    mmio_write(GICC_ABPR, 6);                       /* groups of 64 priorities */
    enable(SPI(0), 0xb0);
    enable(SPI(1), 0xa0);
    for (u32 common = 0; common < 2; common++) {
        mmio_write(GICC_CTLR, CTLR_GROUP0 | CTLR_GROUP1 | CTLR_ACKCTL | (common ? CTLR_CBPR : 0));
        pend(SPI(0));
        TRY(acknowledge(SPI(0), "for the first"));
        REQUIRE(mmio_read(GICC_RPR) == (common ? 0xb0 : 0x80), "GICC_RPR is 0x%x", mmio_read(GICC_RPR));
        pend(SPI(1));
        if (common)
            TRY(take(SPI(1), "with CBPR, where it preempts"));
        else
            TRY(nothing("within GICC_ABPR's group"));
        gic_end(SPI(0));
        if (!common)
            TRY(take(SPI(1), "after the first"));
    }
    return nothing("after all");
}
