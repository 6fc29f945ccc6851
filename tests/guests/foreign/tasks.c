/* A little preemptive kernel: five tasks, a tick, yields by SVC, a queue, floating point switched lazily by its trap. */
#include "bare.h"

#define TASKS 5

extern char kernel_vectors[];
_Noreturn void restore(u64 stack);

static u64 stacks[TASKS][2048] __attribute__((aligned(16)));
static u64 saved[TASKS], asleep[TASKS];
static unsigned __int128 vectors_of[TASKS][33];
static int current, owner = -1, finished;
static volatile u64 ticks, yields, traps, produced, consumed, total;
static volatile u64 queue[8], progress[TASKS];

void trap(u64 kind, struct frame *frame) { unexpected(kind, frame); }

void kernel_dead(void)
{
    say("WRONG: an exception in the kernel\n");
    show("ESR", MRS(ESR_EL1));
    psci(0x84000008, 0, 0, 0);
}

static u64 schedule(u64 stack)
{
    saved[current] = stack;
    for (int n = 1; n <= TASKS; n++) {
        int next = (current + n) % TASKS;
        if (asleep[next] <= ticks) {
            current = next;
            break;
        }
    }
    MSR(CPACR_EL1, owner == current ? 3 << 20 : 0);
    return saved[current];
}

#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) \
    X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)
#define KEEP(n) asm volatile("str q" #n ", %0" : "=m"(vectors_of[owner][n]));
#define TAKE(n) asm volatile("ldr q" #n ", %0" : : "m"(vectors_of[current][n]));

__attribute__((noinline)) static void floating(void)
{
    MSR(CPACR_EL1, 3 << 20);
    if (owner >= 0) {
        EACH(KEEP)
    }
    EACH(TAKE)
    owner = current;
    traps++;
}

u64 kernel_sync(u64 syndrome, u64 stack)
{
    switch (syndrome >> 26) {
    case 0x15:
        if ((syndrome & 0xffff) == 1) {
            yields++;
            return schedule(stack);
        }
        asleep[current] = ticks + ((u64 *)stack)[3]; /* x0 */
        return schedule(stack);
    case 0x07:
        floating();
        return stack;
    default:
        kernel_dead();
        return 0;
    }
}

u64 kernel_irq(u64 unused, u64 stack)
{
    u32 iar = read32(GICC + 0xc);
    (void)unused;
    if ((iar & 0x3ff) == 30) {
        ticks++;
        MSR(CNTP_CVAL_EL0, MRS(CNTP_CVAL_EL0) + 6250);
    }
    write32(GICC + 0x10, iar);
    return schedule(stack);
}

static void give(void) { asm volatile("svc #1" : : : "memory"); }

static void rest(u64 time)
{
    register u64 x0 asm("x0") = time;
    asm volatile("svc #2" : "+r"(x0) : : "memory");
}

/* pi by Leibniz, in doubles, preempted all the time */
static u64 pi(double scale)
{
    double sum = 0, sign = 1;
    for (int n = 0; n < 40000; n++, sign = -sign) {
        sum += sign / (2 * n + 1);
        progress[current]++;
    }
    return (u64)(sum * 4 * scale);
}

static u64 answers[TASKS];

static void task(u64 me)
{
    switch (me) {
    case 0:
    case 1:
        answers[me] = pi(me ? 1e9 : 1e6);
        break;
    case 2:
        for (u64 n = 1; n <= 500; n++) {
            while (produced - consumed == 8)
                give();
            queue[produced % 8] = n * n;
            produced++;
        }
        break;
    case 3:
        while (consumed < 500) {
            while (produced == consumed)
                give();
            total += queue[consumed % 8];
            consumed++;
        }
        answers[3] = total;
        break;
    case 4:
        for (int n = 0; n < 10; n++)
            rest(3);
        answers[4] = ticks >= 30;
        break;
    }
    finished++;
    for (;;) {
        if (me == 0 && finished == TASKS) {
            for (int n = 0; n < TASKS; n++)
                show("answer", answers[n]);
            verdict("ticks", ticks >= 30);
            verdict("yields", yields > 0);
            verdict("lazy floating point", traps >= 2);
            for (;;)
                psci(0x84000008, 0, 0, 0);
        }
        give();
    }
}

void program(void)
{
    for (int n = 0; n < TASKS; n++) {
        u64 *stack = stacks[n] + 2048 - 34;
        stack[0] = 0x344; /* EL1t, IRQs open */
        stack[2] = (u64)task;
        stack[3] = n;
        saved[n] = (u64)stack;
    }
    MSR(VBAR_EL1, kernel_vectors);
    MSR(CPACR_EL1, 0);
    write32(GICD, 1);
    write32(GICD + 0x100, 1 << 30);
    write32(GICC + 4, 0xff);
    write32(GICC, 1);
    say("five tasks\n");
    MSR(CNTP_CVAL_EL0, MRS(CNTPCT_EL0) + 6250);
    MSR(CNTP_CTL_EL0, 1);
    restore(saved[0]);
}
