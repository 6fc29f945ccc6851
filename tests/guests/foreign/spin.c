/* Four CPUs that share memory: locks of all makes, barriers, mailboxes with and without SEV, inter-processor interrupts. */
#include "bare.h"

void ticket_take(void *lock), ticket_leave(void *lock), byte_take(void *lock), byte_leave(void *lock);
u64 pair_add(void *pair), sizes(void *at);
u32 cleared(void *at);

#ifndef ROUNDS
#define ROUNDS 500
#endif

static u32 ticket[2];
static u8 byte_lock __attribute__((aligned(64)));
static u64 under_ticket, under_byte, by_c11, pair[2] __attribute__((aligned(16)));
static volatile u64 plain, mailbox[8], order[4096];
static u32 arrived, sense;
static volatile u32 got[8][16], late;
static int cpus;

static void barrier(void)
{
    u32 mine = !__atomic_load_n(&sense, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL) == (u32)cpus) {
        arrived = 0;
        __atomic_store_n(&sense, mine, __ATOMIC_RELEASE);
        sev();
    } else {
        while (__atomic_load_n(&sense, __ATOMIC_ACQUIRE) != mine)
            wfe();
    }
}

void trap(u64 kind, struct frame *frame)
{
    if (kind != IRQ)
        unexpected(kind, frame);
    u32 iar = read32(GICC + 0xc);
    if ((iar & 0x3ff) >= 1020)
        return;
    got[MRS(MPIDR_EL1) & 7][iar & 15] += 1 + (iar >> 10 << 8);
    write32(GICC + 0x10, iar);
    if ((iar & 15) == 1) /* the answer goes to whoever asked */
        write32(GICD + 0xf00, 1 << (16 + (iar >> 10)) | 2);
}

static void work(u64 me)
{
    barrier();
    for (int n = 0; n < ROUNDS; n++) {
        ticket_take(ticket);
        under_ticket++;
        ticket_leave(ticket);
    }
    barrier();
    for (int n = 0; n < ROUNDS; n++) {
        byte_take(&byte_lock);
        under_byte += 1;
        plain = plain + 1;
        byte_leave(&byte_lock);
    }
    barrier();
    for (int n = 0; n < ROUNDS; n++) {
        __atomic_fetch_add(&by_c11, me + 1, __ATOMIC_SEQ_CST);
        pair_add(pair);
    }
    barrier();
    /* a ring of mailboxes, 50 rounds: every CPU waits for its left neighbour with WFE */
    for (u64 n = 1; n <= 50; n++) {
        if (me == 0)
            mailbox[0] = n;
        while (mailbox[me] < n)
            if (n & 1)
                wfe();
            else
                yield();
        if (me + 1 < (u64)cpus) {
            mailbox[me + 1] = n;
            sev();
        }
    }
    barrier();
    write32(GICC + 4, 0xf0);
    write32(GICC, 1);
    irq_on();
    barrier();
    if (me == 0)
        for (int target = 1; target < cpus; target++)
            for (int n = 0; n < 20; n++) {
                u32 before = got[0][2];
                write32(GICD + 0xf00, 1 << (16 + target) | 1);
                irq_off(); /* or it could come between the look and the WFI */
                while (got[0][2] == before) {
                    wfi();
                    irq_on();
                    irq_off();
                }
                irq_on();
            }
    barrier();
    write32(GICD + 0xf00, 1 << 24 | (3 + me)); /* to all the others */
    int all = 0;
    while (!all) {
        all = 1;
        for (int n = 0; n < cpus; n++)
            all &= n == (int)me || got[me][3 + n] != 0;
        yield();
    }
    barrier();
    irq_off();
}

void secondary_program(u64 context)
{
    if (context != (MRS(MPIDR_EL1) & 0xff))
        late++;
    work(context);
    for (;;)
        wfi();
}

void program(void)
{
    u64 word = 0x1234;
    show("sizes", sizes(&word));
    show("after CLREX", cleared(&word));
    write32(GICD, 1);
    cpus = (read32(GICD + 4) >> 5 & 7) + 1;
    for (int n = 1; n < cpus; n++)
        if (psci(CPU_ON, n, (u64)secondary, n))
            say("WRONG CPU_ON\n");
    show("cpus", cpus);
    work(0);
    show("ticket", under_ticket);
    show("byte", under_byte);
    show("plain", plain);
    show("atomic", by_c11);
    show("pair", pair[0]);
    show("pair", pair[1]);
    for (int n = 0; n < cpus; n++) {
        show("CPU", n);
        for (int id = 0; id < 3 + cpus; id++) {
            put(' ');
            hex(got[n][id]);
        }
        say("\n");
    }
    show("late", late);
    say("done\n");
}
