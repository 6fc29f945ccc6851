/* Interrupts in the middle of everything: what they must leave alone, and the many ways to mask them. */
#include "bare.h"

u64 churn(u64 rounds), churn_sp0(u64 rounds, u64 stack);

static volatile u32 count, from_sp0, fiqs, spin = 500;
static u64 other[512] __attribute__((aligned(16)));
static float trace;

void trap(u64 kind, struct frame *frame)
{
    if (kind != IRQ && kind != IRQ_SP0)
        unexpected(kind, frame);
    u32 iar = read32(GICC + 0xc);
    if ((iar & 0x3ff) == 27) {
        count++;
        from_sp0 += kind == IRQ_SP0;
        MSR(CNTV_TVAL_EL0, spin += 37);
    }
    trace = trace * 1.5f + (float)count; /* a handler that computes with floating point */
    asm volatile("cmn %0, #1\n\tmovi v31.16b, #0xff\n\tmovi v0.16b, #0x11\n\tmsr FPSR, xzr" : : "r"(count) : "cc", "v0", "v31");
    write32(GICC + 0x10, iar);
}

static void ticking(int on)
{
    MSR(CNTV_TVAL_EL0, 500);
    MSR(CNTV_CTL_EL0, on);
}

void program(void)
{
    write32(GICD, 1);
    write32(GICD + 0x100, 1 << 27);
    write32(GICC + 4, 0xff);
    write32(GICC, 1);
    u64 alone = churn(100000);
    show("alone", alone);
    irq_on();
    ticking(1);
    /* however fast the machine is */
    int same = 1;
    while (count < 20)
        same &= churn(100000) == alone;
    verdict("nothing spoiled", same);
    while (from_sp0 < 20)
        same &= churn_sp0(100000, (u64)(other + 512)) == alone;
    verdict("nothing spoiled on SP_EL0", same);
    u32 before;

    ticking(0);
    irq_off();
    show("DAIF", MRS(DAIF));
    MSR(DAIF, 0x80);
    show("DAIF", MRS(DAIF));
    MSR(DAIF, 0);
    show("DAIF", MRS(DAIF));
    asm volatile("msr daifset, #0xf");
    show("DAIF", MRS(DAIF));
    asm volatile("msr daifclr, #0xd");
    show("DAIF", MRS(DAIF));

    /* unmasked by each of the ways in turn, with the interrupt pending already */
    for (int way = 0; way < 5; way++) {
        asm volatile("msr daifset, #2");
        before = count;
        MSR(CNTV_TVAL_EL0, 0);
        MSR(CNTV_CTL_EL0, 1);
        for (volatile int n = 0; n < 1000; n++)
            ;
        verdict("masked", count == before);
        switch (way) {
        case 0:
            asm volatile("msr daifclr, #2\n\tisb");
            break;
        case 1:
            asm volatile("msr daif, xzr\n\tisb");
            break;
        case 2: { /* a window of a single instruction */
            for (int n = 0; n < 10 && count == before; n++)
                asm volatile("msr daifclr, #2\n\tnop\n\tmsr daifset, #2");
            break;
        }
        case 3: /* by an exception return */
            asm volatile("mov x9, #0x5\n\tmsr spsr_el1, x9\n\tadr x9, 1f\n\tmsr elr_el1, x9\n\teret\n1:\tisb" : : : "x9");
            break;
        case 4: /* save and restore, as irqsave does */
            asm volatile("mrs x9, daif\n\tbic x9, x9, #0x80\n\tmsr daif, x9\n\tisb" : : : "x9");
            break;
        }
        MSR(CNTV_CTL_EL0, 0);
        verdict("taken", count == before + 1);
    }
    /* NZCV by itself */
    asm volatile("msr nzcv, %0" : : "r"(0xa0000000UL) : "cc");
    show("NZCV", MRS(NZCV));
    /* ten thousand windows with a fast tick: no interrupt is lost, none taken when masked */
    asm volatile("msr daifset, #2");
    spin = 200;
    before = count;
    ticking(1);
    u32 wrong = 0;
    for (int n = 0; n < 10000 || count - before < 5; n++) {
        u32 then = count;
        for (volatile int k = 0; k < 10; k++)
            ;
        wrong += then != count;
        asm volatile("msr daifclr, #2\n\tmsr daifset, #2");
    }
    ticking(0);
    show("taken while masked", wrong);
    /* floating point of the program itself */
    double sum = 0;
    asm volatile("msr daifclr, #2");
    spin = 300;
    ticking(1);
    for (int n = 1; n <= 50000; n++)
        sum += 1.0 / n;
    ticking(0);
    show("a sum", (u64)(sum * 1000000000.0));
}
