/* Groups: with FIQEn, group 0 comes as FIQ and group 1 as IRQ; each has its own acknowledge register. */
#include "scenario.h"

#define GROUP0_SGI 8u
#define GROUP1_SGI 9u

static volatile u32 fiqs, irqs;
static u32 fiq_iar, irq_iar, irq_aiar;

static void on_group0(void)
{
    fiq_iar = gic_acknowledge();
    fiqs++;
    gic_end(fiq_iar);
}

static void on_group1(void)
{
    irqs++;
    if (gic_is_qemu()) {
        irq_iar = OTHER_GROUP;
        irq_aiar = gic_acknowledge();   /* AckCtl */
        gic_end(irq_aiar);
    } else {
        irq_iar = gic_acknowledge();    /* refused: it is of the other group */
        irq_aiar = mmio_read(GICC_AIAR);
        mmio_write(GICC_AEOIR, irq_aiar);
    }
}

const char *fiq_groups(void)
{
    fiqs = irqs = 0;
    on_irq[0] = on_group1;
    on_fiq[0] = on_group0;
    mmio_write(GICD_IGROUPR, 1u << GROUP1_SGI);
    mmio_write(GICC_CTLR, CTLR_GROUP0 | CTLR_GROUP1 | CTLR_FIQEN | (gic_is_qemu() ? CTLR_ACKCTL : 0));
    gic_sgi(TO_SELF, 0, GROUP0_SGI);
    if (!wait_for(fiqs == 1) || irqs)
        return fail("group 0 came %u times as FIQ and %u times as IRQ", fiqs, irqs);
    if (fiq_iar != GROUP0_SGI)
        return fail("GICC_IAR was 0x%x in the FIQ handler", fiq_iar);
    gic_sgi(TO_SELF, 0, GROUP1_SGI);
    if (!wait_for(irqs == 1) || fiqs != 1)
        return fail("group 1 came %u times as IRQ, %u FIQs in all", irqs, fiqs);
    if (irq_iar != OTHER_GROUP || irq_aiar != GROUP1_SGI)
        return fail("GICC_IAR was 0x%x and GICC_AIAR 0x%x in the IRQ handler", irq_iar, irq_aiar);
    say("   SGI %u as FIQ by GICC_IAR, SGI %u as IRQ by GICC_AIAR\n", GROUP0_SGI, GROUP1_SGI);
    return 0;
}
