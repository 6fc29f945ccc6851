/* A kernel and its user program: page tables, system calls, every refusal that EL0 can get, and ticks in between. */
#include "bare.h"

extern char user_start[], user_end[];
static u64 top[512] __attribute__((aligned(4096))), ram[512] __attribute__((aligned(4096)));
static u64 fine[512] __attribute__((aligned(4096))), stack[512] __attribute__((aligned(4096)));
static volatile int over;

static void call(struct frame *frame)
{
    switch (frame->x[8]) {
    case 1:
        show("says", frame->x[0]);
        break;
    case 2:
        show("SPSR", frame->spsr);
        show("SP_EL0 is its own", frame->sp_el0 == (u64)stack + 4080);
        break;
    case 3:
        MSR(CNTV_TVAL_EL0, 3000);
        MSR(CNTV_CTL_EL0, 1);
        break;
    case 4:
        say("exit\n");
        over = 1;
        frame->spsr = 0x3c5;
        frame->elr = frame->x[28];
        break;
    case 9:
        break;
    }
}

void trap(u64 kind, struct frame *frame)
{
    u64 syndrome = MRS(ESR_EL1);
    if (kind == IRQ_EL0) {
        u32 iar = read32(GICC + 0xc);
        if ((iar & 0x3ff) == 27) {
            ((volatile u64 *)frame->sp_el0)[1]++;
            MSR(CNTV_TVAL_EL0, 3000);
            if (((volatile u64 *)frame->sp_el0)[1] == 20)
                MSR(CNTV_CTL_EL0, 0);
            /* spoil what the return must restore */
            asm volatile("cmn sp, #1\n\tmovi v7.16b, #0\n\tmovi v8.16b, #0" : : : "cc", "v7", "v8");
        }
        write32(GICC + 0x10, iar);
        return;
    }
    if (kind == SYNC && syndrome >> 26 == 0x15) {
        say("SVC at EL1 ");
        hex(syndrome);
        say("\n");
        return;
    }
    if (kind != SYNC_EL0)
        unexpected(kind, frame);
    u32 class = syndrome >> 26;
    if (class == 0x15) {
        call(frame);
        return;
    }
    show("refused", syndrome);
    if (class == 0x24)
        show(" at", MRS(FAR_EL1));
    if (class == 0x22 || class == 0x20) {
        show(" at", MRS(FAR_EL1));
        frame->elr = frame->x[30];
    } else if (class == 0x07) {
        MSR(CPACR_EL1, 3 << 20);
    } else {
        frame->elr += 4;
    }
}

/* Comes back when the user program exits, whose registers are then everywhere. */
asm(".text\n"
    "enter_user:\n"
    "    stp x29, x30, [sp, #-96]!\n"
    "    stp x27, x28, [sp, #16]\n"
    "    stp x25, x26, [sp, #32]\n"
    "    stp x23, x24, [sp, #48]\n"
    "    stp x21, x22, [sp, #64]\n"
    "    stp x19, x20, [sp, #80]\n"
    "    msr SP_EL0, x1\n"
    "    msr ELR_EL1, x0\n"
    "    msr SPSR_EL1, xzr\n"
    "    adr x28, 1f\n"
    "    eret\n"
    "1:  ldp x19, x20, [sp, #80]\n"
    "    ldp x21, x22, [sp, #64]\n"
    "    ldp x23, x24, [sp, #48]\n"
    "    ldp x25, x26, [sp, #32]\n"
    "    ldp x27, x28, [sp, #16]\n"
    "    ldp x29, x30, [sp], #96\n"
    "    ret\n");
void enter_user(u64 entry, u64 sp);

void program(void)
{
    const u64 normal = 1 << 2 | 3 << 8 | 1 << 10;
    top[0] = 0x08000000UL >> 30 << 30 | 1 | 1 << 10 | 1UL << 53 | 1UL << 54; /* 1 GiB of devices */
    top[1] = (u64)ram | 3;
    for (u64 n = 0; n < 64; n++)
        ram[n] = (0x40000000 + n * 0x200000) | 1 | normal | 1UL << 54;
    ram[0] = (u64)fine | 3;
    for (u64 n = 0; n < 512; n++) {
        u64 at = 0x40000000 + n * 4096;
        int code = at >= (u64)user_start && at < (u64)user_end, data = at == (u64)stack;
        fine[n] = at | 3 | normal | (code ? 3UL << 6 | 1UL << 53 : data ? 1UL << 6 | 1UL << 54 | 1UL << 53 : 1UL << 54);
    }
    MSR(MAIR_EL1, 0xff00);
    MSR(TCR_EL1, 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1UL << 23 | 2UL << 32);
    MSR(TTBR0_EL1, top);
    asm volatile("tlbi vmalle1\n\tdsb sy\n\tisb");
    u64 control = MRS(SCTLR_EL1);
    control |= 1 | 1 << 2 | 1 << 12 | 1 << 4;            /* M, C, I, SA0 */
    control &= ~(1UL << 16 | 1 << 18 | 1 << 15 | 1 << 26 | 1 << 9 | 1 << 14 | 1 << 1); /* nTWI, nTWE, UCT, UCI, UMA, DZE, A */
    MSR(SCTLR_EL1, control);
    MSR(CNTKCTL_EL1, 0);
    MSR(TPIDRRO_EL0, 0xcafe);
    write32(GICD, 1);
    write32(GICD + 0x100, 1 << 27);
    write32(GICC + 4, 0xff);
    write32(GICC, 1);
    asm volatile("svc #99");
    say("EL0\n");
    enter_user((u64)user_start, (u64)stack + 4080);
    show("over", over);
    /* again, with the FPU off for EL0, and what can be allowed to it allowed */
    MSR(SCTLR_EL1, control | 1 << 15 | 1 << 26 | 1 << 14);
    MSR(CNTKCTL_EL1, 0x3ff);
    stack[511] = 0; /* what the handler counts in */
    MSR(CPACR_EL1, 1 << 20); /* trapped from EL0 only */
    say("EL0 again\n");
    enter_user((u64)user_start, (u64)stack + 4080);
}
