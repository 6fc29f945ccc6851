/* PSCI: versions, features, CPU_ON by both conventions, off and on again, and every refusal. */
#include "bare.h"

static volatile u64 came[8], with[8], state[8];
static volatile int leave;
static int cpus;

void secondary_program(u64 context)
{
    u64 me = MRS(MPIDR_EL1) & 0xff;
    with[me] = context;
    state[me] = MRS(CurrentEL) << 32 | MRS(DAIF) | (MRS(SCTLR_EL1) & 0x1005) << 16 | MRS(SPSel);
    asm volatile("stlr %w0, [%1]" : : "r"((u32)came[me] + 1), "r"(&came[me]) : "memory");
    sev();
    while (!leave)
        wfe();
    psci(0x84000002, 0, 0, 0);
    say("WRONG CPU_OFF returned\n");
}

static void wait_off(u64 cpu)
{
    while (psci(AFFINITY_INFO, cpu, 0, 0) != 1)
        yield();
}

void trap(u64 kind, struct frame *frame) { unexpected(kind, frame); }

void program(void)
{
    u64 major = psci(0x84000000, 0, 0, 0) >> 16;
    show("VERSION", major);
    show("MIGRATE_INFO_TYPE", psci(0x84000006, 0, 0, 0));
    static const u32 functions[] = {0x84000000, 0x84000001, 0xc4000001, 0x84000002, 0x84000003, 0xc4000003, 0x84000004,
                                    0xc4000004, 0x84000008, 0x84000009, 0x8400000a, 0x84000006};
    if (major >= 1)
        for (unsigned n = 0; n < sizeof functions / 4; n++)
            verdict("feature", psci(0x8400000a, functions[n], 0, 0) == 0 || functions[n] == 0x84000006);
    show("unknown function", psci(0x8400001f, 0, 0, 0));
    show("unknown feature", psci(0x8400000a, 0x8400ffff, 0, 0));
    show("info 0", psci(AFFINITY_INFO, 0, 0, 0));
    show("info 32-bit", psci(0x84000004, 0, 0, 0));
    show("info of none", psci(AFFINITY_INFO, 0x100, 0, 0));
    show("on: myself", psci(CPU_ON, 0, (u64)secondary, 0));
    show("on: none", psci(CPU_ON, 0x77, (u64)secondary, 0));
    for (cpus = 1; cpus < 8 && psci(AFFINITY_INFO, cpus, 0, 0) == 1; cpus++)
        ;
    show("cpus", cpus);
    for (int round = 1; round <= 3; round++) {
        leave = 0;
        for (int n = 1; n < cpus; n++) {
            u64 function = round == 2 ? 0x84000003 : CPU_ON;
            u64 answer = psci(function, n, (u64)secondary, 0xfeed0000 + 0x100 * round + n);
            if (answer)
                show("WRONG on", answer);
            while (came[n] != (u64)round)
                wfe();
            show("context", with[n]);
            show("state", state[n]);
            show("info", psci(AFFINITY_INFO, n, 0, 0));
            show("on again", psci(CPU_ON, n, (u64)secondary, 0));
        }
        leave = 1;
        sev();
        for (int n = 1; n < cpus; n++)
            wait_off(n);
        say("all off\n");
    }
}
