#include "gic.h"

u32 gic_identity(void)
{
    static volatile u32 identity;

    if (!identity)
        identity = mmio_read(GICD_IIDR);
    return identity;
}

unsigned gic_cpus(void)
{
    return (mmio_read(GICD_TYPER) >> 5 & 7) + 1;
}

unsigned gic_lines(void)
{
    return ((mmio_read(GICD_TYPER) & 0x1f) + 1) * 32;
}

void gic_level(u32 intid, int level)
{
    u64 address = GICD_ICFGR + intid / 16 * 4;
    u32 edge = 2u << intid % 16 * 2;
    u32 config = mmio_read(address);

    mmio_write(address, level ? config & ~edge : config | edge);
}

void gic_reset_distributor(void)
{
    unsigned lines = gic_lines();

    mmio_write(GICD_CTLR, 0);
    for (unsigned word = 1; word < lines / 32; word++) {
        mmio_write(GICD_ICENABLER + word * 4, ~0u);
        mmio_write(GICD_ICPENDR + word * 4, ~0u);
        mmio_write(GICD_ICACTIVER + word * 4, ~0u);
        mmio_write(GICD_IGROUPR + word * 4, 0);
    }
    for (unsigned intid = 32; intid < lines; intid += 4) {
        mmio_write(GICD_IPRIORITYR + intid, DEFAULT_PRIORITY * 0x01010101u);
        mmio_write(GICD_ITARGETSR + intid, 0x01010101u);
    }
    for (unsigned intid = 32; intid < lines; intid += 16)
        mmio_write(GICD_ICFGR + intid / 4, 0xaaaaaaaau);
    mmio_write(GICD_CTLR, CTLR_GROUP0 | CTLR_GROUP1);
}

void gic_reset_cpu(void)
{
    mmio_write(GICC_CTLR, 0);
    mmio_write(GICD_ICENABLER, 0xffff0000u);
    mmio_write(GICD_ICPENDR, 0xffff0000u);
    mmio_write(GICD_ICACTIVER, ~0u);
    mmio_write(GICD_IGROUPR, 0);
    for (unsigned intid = 0; intid < 32; intid += 4)
        mmio_write(GICD_IPRIORITYR + intid, DEFAULT_PRIORITY * 0x01010101u);
    for (unsigned sgi = 0; sgi < 16 && !gic_is_xen(); sgi += 4)
        mmio_write(GICD_CPENDSGIR + sgi, ~0u);
    mmio_write(GICD_ISENABLER, 0x0000ffffu);
    mmio_write(GICC_APR0, 0);
    mmio_write(GICC_PMR, 0xf0);
    mmio_write(GICC_BPR, 2);
    mmio_write(GICC_CTLR, CTLR_GROUP0);
}
