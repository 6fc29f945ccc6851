/* What a guest whose GIC is reached by trapping its accesses may do: every form of load and store, handlers that save
 * nothing before they acknowledge, a GIC behind the MMU at another virtual address, waiting for a device of somebody
 * else's. One CPU. */
#include "console.h"
#include "gic.h"
#include "smp.h"

#define VIRTUAL_TIMER 27u
#define ENABLE 1u
#define STRANGERS_SPI 40u
#define TICKS 5u
#define ACCESSES 500u

typedef const char *scenario(void);

/* An interrupt comes here with nothing saved, and IAR is read at once: ELR_EL1 and SPSR_EL1 must outlive that. X9 to X11
 * are nobody's while this table is in use. */
__asm__(
    "    .text\n"
    "    .balign 2048\n"
    "    .global naive_vectors\n"
    "naive_vectors:\n"
    "    .rept 4\n"
    "    .balign 128\n"
    "    b .\n"
    "    .endr\n"
    "    .balign 128\n"
    "    b abort_entry\n"
    "    .balign 128\n"
    "    movz x9, #0x0801, lsl #16\n"
    "    ldr w10, [x9, #0x0c]\n"
    "    str w10, [x9, #0x10]\n"
    "    adrp x11, naive_iar\n"
    "    str w10, [x11, :lo12:naive_iar]\n"
    "    eret\n"
    "    .rept 10\n"
    "    .balign 128\n"
    "    b .\n"
    "    .endr\n"
    "    .balign 128\n"
    "abort_entry:\n"
    "    mrs x9, esr_el1\n"
    "    adrp x11, aborts\n"
    "    str w9, [x11, :lo12:aborts]\n"
    "    mrs x9, far_el1\n"
    "    adrp x11, abort_address\n"
    "    str x9, [x11, :lo12:abort_address]\n"
    "    mrs x9, elr_el1\n"
    "    add x9, x9, #4\n"
    "    msr elr_el1, x9\n"
    "    eret\n");

extern char naive_vectors[];
volatile u32 naive_iar = SPURIOUS, aborts;
volatile u64 abort_address;

static volatile u32 taken, last;

static void on_irq_taken(void)
{
    last = gic_acknowledge();
    if (last == VIRTUAL_TIMER)
        write_sysreg(cntv_ctl_el0, 0);
    taken++;
    gic_end(last);
}

/* Answers the old table. */
static u64 use_vectors(u64 table)
{
    u64 old = read_sysreg(vbar_el1);

    write_sysreg(vbar_el1, table);
    isb();
    return old;
}

static const char *naive_handler(void)
{
    u64 old;
    const char *why = 0;

    irq_mask();
    old = use_vectors((u64)naive_vectors);
    for (u32 sgi = 0; sgi < 8 && !why; sgi++) {
        u64 flags = 0;

        naive_iar = SPURIOUS;
        irq_unmask();
        __asm__ volatile(
            "cmp xzr, xzr\n\t"                  /* Z: must be as it was when the handler returns */
            "str %w1, [%2]\n\t"
            "mrs %0, nzcv"
            : "=&r"(flags) : "r"(2u << 24 | sgi), "r"(GICD_SGIR) : "x9", "x10", "x11", "cc", "memory");
        if (!wait_for(naive_iar != SPURIOUS))
            why = fail("SGI %u did not come", sgi);
        irq_mask();
        if (!why && naive_iar != sgi)
            why = fail("IAR was 0x%x, not %u", naive_iar, sgi);
        if (!why && !(flags >> 30 & 1))
            why = fail("the flags are 0x%x behind the store", (u32)(flags >> 28));
    }
    use_vectors(old);
    return why;
}

static const char *accesses(void)
{
    u64 priorities = GICD_IPRIORITYR + 64, at = priorities;
    u64 a = 0, b = 0, c = 0, d = 0;

    __asm__ volatile(
        "mov w9, #0x3020\n\tmovk w9, #0xf8a0, lsl #16\n\t"
        "str w9, [%4], #4\n\t"                  /* post-index */
        "str wzr, [%4, #-4]\n\t"
        "str w9, [%4, #-4]!\n\t"                /* pre-index */
        "ldr w9, [%4], #8\n\t"
        "mov %0, x9\n\t"
        "ldursb %1, [%4, #-5]\n\t"              /* signed, unscaled */
        "mov x9, #-8\n\t"
        "ldrb %w2, [%4, x9]\n\t"                /* by register */
        "stp w9, wzr, [%4, #-8]!\n\t"           /* pairs */
        "str %w0, [%4]\n\t"
        "ldp w9, w10, [%4], #16\n\t"
        "add %3, x9, x10\n\t"
        : "=&r"(a), "=&r"(b), "=&r"(c), "=&r"(d), "+r"(at) : : "x9", "x10", "memory");
    if (a != 0xf8a03020ul || b != (u64)(long)(signed char)0xf8 || c != 0x20 || d != a)
        return fail("loads gave 0x%x, 0x%x, 0x%x, 0x%x", (u32)a, (u32)b, (u32)c, (u32)d);
    if (at != priorities + 16)
        return fail("write-back left the base at 0x%x", (u32)(at - priorities));
    return 0;
}

/* Identity for the first 2 GiB, and once more from 0x100000000: what is below 1 GiB is Device memory. */
static const char *behind_the_mmu(void)
{
    static u64 __attribute__((aligned(4096))) table[512];
    const u64 block = 1ul | 1ul << 10, normal = 1ul << 2 | 3ul << 8, other = 0x100000000ul;
    u32 plain = mmio_read(GICD_TYPER), moved, again;

    table[0] = 0x00000000ul | block;
    table[1] = 0x40000000ul | block | normal;
    table[4] = 0x00000000ul | block;
    write_sysreg(mair_el1, 0xff00);
    write_sysreg(tcr_el1, 25ul | 1ul << 23 | 2ul << 32);
    write_sysreg(ttbr0_el1, (u64)table);
    __asm__ volatile("dsb sy\n\ttlbi vmalle1\n\tdsb sy\n\tisb" ::: "memory");
    write_sysreg(sctlr_el1, read_sysreg(sctlr_el1) | 1);
    isb();
    moved = mmio_read(other + GICD_TYPER);
    /* what the instruction does must be read from where the MMU has it */
    __asm__ volatile("mov x9, %1\n\tldr %w0, [x9], #4" : "=r"(again) : "r"(other + GICD_TYPER) : "x9", "memory");
    if (moved != plain || again != plain)
        return fail("GICD_TYPER is 0x%x there, then 0x%x, not 0x%x", moved, again, plain);
    taken = 0;
    mmio_write(other + GICD_SGIR, 2u << 24 | 3);
    if (!wait_for(taken == 1))
        return fail("no interrupt with the MMU on");
    return 0;
}

/* QEMU's own GICH, and what is behind 512 MiB of memory. */
static const char *nothing_there(void)
{
    static const u64 places[] = { 0x08030000, 0x60001000 };
    const char *why = 0;
    u64 old;

    irq_mask();
    old = use_vectors((u64)naive_vectors);
    for (unsigned index = 0; index < 2 && !why; index++) {
        aborts = 0;
        __asm__ volatile("ldr w9, [%0]" : : "r"(places[index]) : "x9", "x10", "x11", "memory");
        if (aborts != 0x96000010 || abort_address != places[index])
            why = fail("ESR_EL1 0x%x, FAR_EL1 0x%x: no external abort at 0x%x", aborts, (u32)abort_address,
                       (u32)places[index]);
    }
    use_vectors(old);
    irq_unmask();
    return why;
}

/* PSCI is the machine's, wherever the stub has taken the call from. */
static const char *hypercalls(void)
{
    u64 version = psci(0x84000000, 0, 0, 0), unknown = psci(0xc2001234, 1, 2, 3);

    if (version >> 16 == 0 || version >> 32 || (u32)unknown != ~0u)
        return fail("PSCI_VERSION is 0x%x, an unknown function answers 0x%x", (u32)version, (u32)unknown);
    return 0;
}

static const char *timer(void)
{
    gic_set(GICD_ISENABLER, VIRTUAL_TIMER);
    for (u32 tick = 1; tick <= TICKS; tick++) {
        taken = 0;
        irq_mask();
        write_sysreg(cntv_cval_el0, counter() + frequency() / 1000);
        write_sysreg(cntv_ctl_el0, ENABLE);
        while (!taken) {
            wfi();
            irq_unmask();
            irq_mask();
        }
        irq_unmask();
        if (last != VIRTUAL_TIMER || taken != 1)
            return fail("tick %u: %u interrupts, the last was 0x%x", tick, taken, last);
    }
    return 0;
}

/* The UART interrupts, but nobody has enabled SPI 33: what takes it from the device must let the guest go on. */
static const char *unheard_device(void)
{
    u64 until;

    taken = 0;
    gic_level(UART_SPI, 1);
    mmio_write(UARTIMSC, UART_TX);
    say("   the UART interrupts, and nobody listens\n");
    until = counter() + frequency() / 1000;
    while (counter() < until)
        ;
    mmio_write(UARTIMSC, 0);
    mmio_write(UARTICR, UART_TX);
    if (taken)
        return fail("IAR was 0x%x", last);
    return gic_test(GICD_ISPENDR, UART_SPI) ? fail("the line stays high") : 0;
}

static const char *stranger(void)
{
    taken = 0;
    gic_target(STRANGERS_SPI, 1);
    gic_set(GICD_ISENABLER, STRANGERS_SPI);
    irq_mask();
    say("   asleep until somebody raises SPI %u\n", STRANGERS_SPI);
    while (!taken) {
        wfi();
        irq_unmask();
        irq_mask();
    }
    irq_unmask();
    if (last != STRANGERS_SPI)
        return fail("IAR was 0x%x", last);
    return 0;
}

static const char *speed(void)
{
    u64 begin = counter(), ticks;

    for (u32 access = 0; access < ACCESSES; access++)
        mmio_read(GICD_TYPER);
    ticks = counter() - begin;
    say("   %u reads of GICD_TYPER, %u ns of the guest's time each\n", ACCESSES,
        (u32)(ticks * (1000000000ul / frequency()) / ACCESSES));
    return 0;
}

static const struct {
    const char *name;
    scenario *run;
} SCENARIOS[] = {
    { "naive-handler", naive_handler },
    { "accesses", accesses },
    { "nothing-there", nothing_there },
    { "hypercalls", hypercalls },
    { "unheard-device", unheard_device },
    { "timer", timer },
    { "behind-the-mmu", behind_the_mmu },
    { "speed", speed },
    { "stranger", stranger },
};

void first_main(void)
{
    unsigned failed = 0;

    handle_irqs_with(on_irq_taken);
    gic_reset_distributor();
    gic_reset_cpu();
    irq_unmask();
    for (unsigned index = 0; index < sizeof SCENARIOS / sizeof *SCENARIOS; index++) {
        const char *why = SCENARIOS[index].run();

        if (why)
            say("FAIL %s: %s\n", SCENARIOS[index].name, why);
        else
            say("PASS %s\n", SCENARIOS[index].name);
        failed += why != 0;
    }
    power_off(failed ? 1 : 7);      /* not 0, which a bridge would also say that never saw the line */
}
