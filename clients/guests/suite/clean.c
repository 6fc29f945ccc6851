/* Between scenarios: whatever one has left behind, with a defect or without, is not there for the next. Registers do
 * not suffice where a defect keeps them from acting; so everything pending is taken and everything active is ended. */
#include "suite.h"

#define ROUNDS 96u              /* of a CPU; each ends one interrupt at least */
#define ATTEMPTS 4u

static volatile u32 left_active[MAX_CPUS];

static void swallow(void)
{
    u32 iar = gic_acknowledge();

    gic_end(iar);
    gic_deactivate(iar);
}

static void end_all(u32 first, u32 word)
{
    for (u32 n = 0; word; n++, word >>= 1)
        if (word & 1)
            gic_deactivate(first + n);
}

static void clean_cpu(void)
{
    u32 active;

    irq_mask();
    timer_stop(VIRTUAL_TIMER);
    timer_stop(PHYSICAL_TIMER);
    mmio_write(GICC_CTLR, CTLR_GROUP0 | CTLR_GROUP1 | CTLR_ACKCTL | CTLR_EOIMODE);
    mmio_write(GICC_PMR, 0xff);
    mmio_write(GICC_APR0, 0);
    mmio_write(GICD_IGROUPR, 0);
    mmio_write(GICD_ICPENDR, 0xffff0000u);
    mmio_write(GICD_ICACTIVER, ~0u);
    mmio_write(GICD_ICENABLER, ~0u);
    mmio_write(GICD_ISENABLER, 0xffffu);    /* disabled and enabled anew: what was pending is looked at again */
    for (unsigned intid = 0; intid < 32; intid += 4)
        mmio_write(GICD_IPRIORITYR + intid, DEFAULT_PRIORITY * 0x01010101u);
    for (unsigned round = 0; round < ROUNDS; round++) {
        u32 iar = gic_acknowledge();

        if (INTID(iar) < OTHER_GROUP) {
            gic_end(iar);
            gic_deactivate(iar);
        }
        active = mmio_read(GICD_ISACTIVER);
        left_active[cpu_id()] = active | mmio_read(GICD_ISACTIVER + WORD1);
        end_all(0, active);
        end_all(32, mmio_read(GICD_ISACTIVER + WORD1));
        if (INTID(iar) >= OTHER_GROUP && !left_active[cpu_id()])
            break;
    }
    mmio_write(GICC_APR0, 0);
    mmio_write(GICC_PMR, 0xf8);
    mmio_write(GICC_BPR, 2);
    mmio_write(GICC_ABPR, 3);
    mmio_write(GICC_CTLR, CTLR_GROUP0);
    if (cpu_id())
        irq_unmask();
}

static void clean_distributor(void)
{
    mmio_write(UARTIMSC, 0);
    mmio_write(UARTICR, UART_TX);
    mmio_write(GICD_ICENABLER + WORD1, ~0u);
    mmio_write(GICD_ICPENDR + WORD1, ~0u);
    mmio_write(GICD_ICACTIVER + WORD1, ~0u);
    mmio_write(GICD_IGROUPR + WORD1, 0);
    for (unsigned intid = 32; intid < 64; intid += 4) {
        mmio_write(GICD_IPRIORITYR + intid, DEFAULT_PRIORITY * 0x01010101u);
        mmio_write(GICD_ITARGETSR + intid, 0x01010101u);
    }
    mmio_write(GICD_ICFGR + 8, 0xaaaaaaaau);
    mmio_write(GICD_ICFGR + 12, 0xaaaaaaaau);
    mmio_write(GICD_CTLR, CTLR_GROUP0 | CTLR_GROUP1);
}

const char *clean(int everywhere)
{
    u32 left = 0;

    irq_mask();
    for (unsigned cpu = 1; cpu < cpus; cpu++)
        finish(cpu);
    handle_irqs_with(swallow);
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        on_fiq[cpu] = swallow;
    for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
        clean_distributor();
        if (everywhere)
            run_everywhere(clean_cpu);
        else
            clean_cpu();
        left = mmio_read(GICD_ISACTIVER + WORD1);
        for (unsigned cpu = 0; cpu < cpus; cpu++)
            left |= left_active[cpu];
        if (!left)
            break;
        everywhere = 1;
    }
    handle_irqs_with(0);
    log_clear();
    return left ? fail("interrupts stay active: 0x%x", left) : 0;
}
