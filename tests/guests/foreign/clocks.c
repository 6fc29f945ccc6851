/* The generic timers, polled and by interrupt: CVAL and TVAL, ISTATUS, IMASK, deadlines that have passed, waiting. */
#include "bare.h"

static volatile u32 ticks, spurious, last, action;

static u64 count(void) { return MRS(CNTVCT_EL0); }

void trap(u64 kind, struct frame *frame)
{
    if (kind != IRQ && kind != IRQ_SP0)
        unexpected(kind, frame);
    u32 iar = read32(GICC + 0xc), id = iar & 0x3ff;
    if (id >= 1020) {
        spurious++;
        return;
    }
    last = id;
    ticks++;
    switch (action) {
    case 0: /* switched off */
        if (id == 27)
            MSR(CNTV_CTL_EL0, 0);
        else
            MSR(CNTP_CTL_EL0, 0);
        break;
    case 1: /* masked at the timer */
        MSR(CNTV_CTL_EL0, 3);
        break;
    case 2: /* the next one by TVAL */
        MSR(CNTV_TVAL_EL0, 62500);
        break;
    case 3: /* the next one by CVAL, without drift */
        MSR(CNTV_CVAL_EL0, MRS(CNTV_CVAL_EL0) + 62500);
        break;
    case 4: /* in the past: again at once, five times */
        if (ticks % 5)
            MSR(CNTV_TVAL_EL0, -10);
        else
            MSR(CNTV_CTL_EL0, 0);
        break;
    }
    write32(GICC + 0x10, iar);
}

static void until(u32 number)
{
    while (ticks < number)
        wfi();
}

void program(void)
{
    show("CNTFRQ", MRS(CNTFRQ_EL0));
    u64 one = MRS(CNTPCT_EL0), two = MRS(CNTVCT_EL0), three = MRS(CNTPCT_EL0), four = MRS(CNTVCT_EL0);
    verdict("monotonic", one <= two + 1 && two <= three + 1 && three <= four + 1 && one <= three && two <= four);

    /* polled */
    MSR(CNTV_CVAL_EL0, -1UL);
    MSR(CNTV_CTL_EL0, 1);
    show("far away", MRS(CNTV_CTL_EL0));
    MSR(CNTV_CVAL_EL0, count());
    show("reached", MRS(CNTV_CTL_EL0));
    MSR(CNTV_CTL_EL0, 3);
    show("masked", MRS(CNTV_CTL_EL0));
    MSR(CNTV_CTL_EL0, 0);
    show("disabled", MRS(CNTV_CTL_EL0) & ~4UL);
    MSR(CNTP_TVAL_EL0, 6250);
    MSR(CNTP_CTL_EL0, 3);
    u64 begun = MRS(CNTPCT_EL0);
    verdict("not yet", !(MRS(CNTP_CTL_EL0) & 4));
    while (!(MRS(CNTP_CTL_EL0) & 4))
        ;
    verdict("after a tenth of a millisecond", MRS(CNTPCT_EL0) - begun >= 6250 - 1000);
    verdict("TVAL is negative now", (int)MRS(CNTP_TVAL_EL0) <= 0 && (int)MRS(CNTP_TVAL_EL0) > -62500000);
    MSR(CNTP_CTL_EL0, 0);
    MSR(CNTV_TVAL_EL0, 1000000);
    u64 compare = MRS(CNTV_CVAL_EL0), now = count();
    verdict("TVAL sets CVAL", compare - now <= 1000000 && compare - now > 900000);
    MSR(CNTV_TVAL_EL0, 0xffffffff);
    verdict("TVAL -1 is the past", MRS(CNTV_CVAL_EL0) < count());

    /* a delay loop */
    begun = count();
    while (count() - begun < 62500)
        yield();
    verdict("a millisecond by looking", count() - begun < 62500 * 50);

    /* interrupts */
    write32(GICD, 1);
    write32(GICD + 0x100, 1 << 27 | 1 << 30);
    write32(GICC + 4, 0xff);
    write32(GICC, 1);
    action = 0;
    MSR(CNTV_TVAL_EL0, 62500);
    MSR(CNTV_CTL_EL0, 1);
    irq_on();
    until(1);
    show("virtual", last);
    MSR(CNTP_CVAL_EL0, MRS(CNTPCT_EL0) + 62500);
    MSR(CNTP_CTL_EL0, 1);
    until(2);
    show("physical", last);
    action = 1;
    MSR(CNTV_TVAL_EL0, 1000);
    MSR(CNTV_CTL_EL0, 1);
    until(3);
    show("masked in the handler", MRS(CNTV_CTL_EL0));
    action = 2;
    MSR(CNTV_TVAL_EL0, 1000);
    MSR(CNTV_CTL_EL0, 1);
    until(13);
    MSR(CNTV_CTL_EL0, 0);
    show("ten by TVAL", ticks);
    action = 3;
    ticks = 0;
    begun = count();
    MSR(CNTV_CVAL_EL0, begun + 62500);
    MSR(CNTV_CTL_EL0, 1);
    until(10);
    u64 took = count() - begun;
    MSR(CNTV_CTL_EL0, 0);
    verdict("ten by CVAL in ten milliseconds", took >= 625000 && took < 625000 + 62500 * 20);
    action = 4;
    ticks = 0;
    MSR(CNTV_TVAL_EL0, 10);
    MSR(CNTV_CTL_EL0, 1);
    until(5);
    show("in the past, again and again", ticks);
    /* interrupted while computing, not waiting */
    action = 2;
    ticks = 0;
    MSR(CNTV_TVAL_EL0, 1000);
    MSR(CNTV_CTL_EL0, 1);
    volatile u64 sum = 0;
    while (ticks < 5)
        sum += ticks;
    MSR(CNTV_CTL_EL0, 0);
    say("five while busy\n");

    /* WFI with interrupts masked ends, and ISR_EL1 tells why */
    irq_off();
    action = 0;
    ticks = 0;
    MSR(CNTV_TVAL_EL0, 5000);
    MSR(CNTV_CTL_EL0, 1);
    while (!(MRS(ISR_EL1) & 1 << 7))
        wfi();
    show("ISR_EL1", MRS(ISR_EL1));
    show("none taken", ticks);
    u32 iar = read32(GICC + 0xc);
    show("acknowledged by hand", iar);
    show("ISR_EL1 when acknowledged", MRS(ISR_EL1));
    MSR(CNTV_CTL_EL0, 0);
    write32(GICC + 0x10, iar);
    show("ISR_EL1 at the end", MRS(ISR_EL1));
    irq_on();
    /* polled without WFI, IRQs masked in PSTATE */
    irq_off();
    MSR(CNTP_TVAL_EL0, 5000);
    MSR(CNTP_CTL_EL0, 1);
    while (!(MRS(ISR_EL1) & 1 << 7))
        ;
    show("pending", read32(GICD + 0x200));
    show("highest pending", read32(GICC + 0x18));
    MSR(CNTP_CTL_EL0, 0);
    show("fallen", read32(GICD + 0x200));
    show("nothing", read32(GICC + 0xc));
    /* pending all the same while disabled in the distributor */
    write32(GICD + 0x180, 1 << 30);
    MSR(CNTP_CVAL_EL0, 0);
    MSR(CNTP_CTL_EL0, 1);
    show("pending while disabled", read32(GICD + 0x200));
    show("ISR_EL1 while disabled", MRS(ISR_EL1));
    MSR(CNTP_CTL_EL0, 3);
    show("no more by IMASK", read32(GICD + 0x200));
    MSR(CNTP_CTL_EL0, 0);
    write32(GICD + 0x100, 1 << 30);
    irq_on();
    show("spurious", spurious);
    /* the event stream: WFE wakes by itself */
    MSR(CNTKCTL_EL1, 1 << 2 | 10 << 4);
    begun = count();
    for (int n = 0; n < 20; n++)
        wfe();
    verdict("event stream", count() - begun < 62500000);
}
