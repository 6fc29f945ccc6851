/* What the tour leaves behind, for whoever looks at the interrupt controller afterwards: more interrupts than list
 * registers on CPU 0, one of them active. */
#include "scenario.h"

#define ACTIVE 40u
#define LAST 45u
#define TIMER 27u

static void settle_down(void)
{
    irq_mask();
    gic_reset_cpu();
}

void still_life(void)
{
    gic_reset_distributor();
    run_everywhere(settle_down);
    for (u32 intid = ACTIVE; intid <= LAST; intid++) {
        gic_priority(intid, (u8)(0x80 + (intid - ACTIVE) * 8));
        gic_set(GICD_ISENABLER, intid);
        gic_set(GICD_ISPENDR, intid);
    }
    gic_acknowledge();
    gic_priority(TIMER, 0xd0);
    gic_set(GICD_ISENABLER, TIMER);
    write_sysreg(cntv_cval_el0, 0);
    write_sysreg(cntv_ctl_el0, 1);
    gic_priority(1, 0x60);
    gic_sgi(TO_SELF, 0, 1);
    gic_sgi(TO_OTHERS, 0, 2);
    say("left behind: cpu 0 has SPI %u active, SPIs %u to %u, SGI 1 and the timer pending%s\n",
        ACTIVE, ACTIVE + 1, LAST, cpus > 1 ? "; the others SGI 2" : "");
}
