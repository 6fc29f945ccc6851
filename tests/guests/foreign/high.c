/* A kernel in the upper half: devices, interrupts and PSCI from there. */
#include "bare.h"

#define UP 0xffffff8000000000UL

static volatile u32 got;
static char text[] = "text that is data\n";

static void out(const char *at)
{
    for (; *at; at++) {
        while (read32(UP + UART + 0x18) & 1 << 5)
            ;
        write32(UP + UART, (u8)*at);
    }
}

static void number(const char *name, u64 value)
{
    char line[20] = "0x0000000000000000\n";
    for (int n = 0; n < 16; n++)
        line[2 + n] = "0123456789abcdef"[value >> (60 - 4 * n) & 15];
    out(name);
    out(" ");
    out(line);
}

void interrupted(void)
{
    u32 iar = read32(UP + GICC + 0xc);
    got = iar & 0x3ff;
    if (got == 30)
        MSR(CNTP_CTL_EL0, 0);
    write32(UP + GICC + 0x10, iar);
}

void program(void)
{
    out(text);
    number("program at", (u64)program);
    number("TTBR0", MRS(TTBR0_EL1));
    asm volatile("at s1e1r, %0\n\tisb" : : "r"(0x40000000UL));
    number("low is gone", MRS(PAR_EL1) & 1);
    write32(UP + GICD, 1);
    write32(UP + GICD + 0x100, 1 << 30 | 1 << 3);
    write32(UP + GICC + 4, 0xff);
    write32(UP + GICC, 1);
    irq_on();
    write32(UP + GICD + 0xf00, 2 << 24 | 3);
    while (got != 3)
        ;
    out("SGI\n");
    MSR(CNTP_TVAL_EL0, 10000);
    MSR(CNTP_CTL_EL0, 1);
    while (got != 30)
        wfi();
    out("tick\n");
}
