/* Delay loops, by which programs let seconds pass: one second by the counter, one by a count, three by short ones. */
#include "bare.h"

static u64 count(void)
{
    u64 value;
    asm volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(value) : : "memory");
    return value;
}

static void delay(u64 ticks)
{
    u64 begun = count();
    while (count() - begun < ticks)
        yield();
}

void program(void)
{
    u64 second = MRS(CNTFRQ_EL0), begun = count();
    delay(second);
    u64 took = count() - begun;
    verdict("a second", took >= second && took < second * 2);
    begun = count();
    for (int n = 0; n < 30; n++)
        delay(second / 10);
    took = count() - begun;
    verdict("three seconds", took >= second * 3 && took < second * 5);
    MSR(CNTP_TVAL_EL0, second / 2);
    MSR(CNTP_CTL_EL0, 3);
    while (!(MRS(CNTP_CTL_EL0) & 4))
        ;
    say("half a second by ISTATUS\n");
    for (volatile u32 n = 0; n < 100000000; n++)
        ;
    say("a hundred million\n");
}
