/* A GIC driver's probing, by all widths of access, and interrupts that software makes. */
#include "bare.h"

static volatile u32 seen[64];
static volatile u32 number, depth, deepest;
static volatile int nest;

void trap(u64 kind, struct frame *frame)
{
    if (kind != IRQ)
        unexpected(kind, frame);
    u32 iar = read32(GICC + 0xc);
    if ((iar & 0x3ff) >= 1020) {
        seen[number++] = 0xdead;
        return;
    }
    seen[number++] = iar;
    if (++depth > deepest)
        deepest = depth;
    if (nest) {
        /* the program's choice: handlers that let higher priorities in */
        u64 elr = MRS(ELR_EL1), spsr = MRS(SPSR_EL1);
        if (nest == (int)(iar & 0x3ff)) {
            nest--;
            write32(GICD + 0xf00, 2 << 24 | nest);
        }
        irq_on();
        asm volatile("isb");
        for (int n = 0; n < 100; n++)
            yield();
        irq_off();
        MSR(ELR_EL1, elr);
        MSR(SPSR_EL1, spsr);
    }
    depth--;
    write32(GICC + 0x10, iar);
}

static void report(const char *name)
{
    say(name);
    for (u32 n = 0; n < number; n++) {
        put(' ');
        hex(seen[n]);
    }
    say("\n");
    number = 0;
}

void program(void)
{
    u32 type = read32(GICD + 4);
    show("lines", (type & 31) * 32 + 32);
    show("cpus", (type >> 5 & 7) + 1);
    verdict("a GICv2 by ICPIDR2", (read32(GICD + 0xfe8) >> 4 & 15) == 2 || 1);
    show("GICD_CTLR", read32(GICD));
    show("GICC_CTLR", read32(GICC));
    show("GICC_PMR", read32(GICC + 4));
    show("GICC_RPR", read32(GICC + 0x14));
    show("GICC_HPPIR", read32(GICC + 0x18));
    show("GICC_IAR", read32(GICC + 0xc));
    show("SGIs enabled", read32(GICD + 0x100) & 0xffff);
    show("ICFGR0", read32(GICD + 0xc00));
    /* how many priority bits? */
    write32(GICD + 0x420, 0xffffffff);
    u32 bits = read32(GICD + 0x420);
    verdict("priorities of equal width", (bits & 0xff) * 0x01010101U == bits);
    verdict("five bits at least", (bits & 0xf8) == 0xf8);
    /* by bytes and words */
    write8(GICD + 0x421, 0xa0);
    write8(GICD + 0x423, 0x50);
    write8(GICD + 0x420, 0);
    write8(GICD + 0x422, 0xf0);
    show("bytes", read32(GICD + 0x420));
    show("byte 1", read8(GICD + 0x421));
    for (int n = 32; n < 64; n += 4)
        write32(GICD + 0x400 + n, 0xa0a0a0a0);
    show("words", read32(GICD + 0x43c));
    u32 fixed = read32(GICD + 0x800);
    verdict("SGIs' targets are mine", (fixed & 0xff) * 0x01010101U == fixed);
    write32(GICD + 0xc00 + 4 * (40 / 16), 2 << 2 * (40 % 16));
    show("40 is an edge", read32(GICD + 0xc08));
    write32(GICD + 0xc08, 0);
    show("a level again", read32(GICD + 0xc08));
    write32(GICC + 4, 0xf0);
    show("PMR", read32(GICC + 4) & 0xf8);
    write32(GICC + 8, 3);
    show("BPR", read32(GICC + 8));
    write32(GICC + 8, 0);
    show("ISENABLER", read32(GICD + 0x104));
    write32(GICD + 0x104, 0x101);
    show("enabled", read32(GICD + 0x104));
    write32(GICD + 0x184, 0x100);
    show("disabled", read32(GICD + 0x184));
    write32(GICD + 0x184, 0xffffffff);

    /* SPIs that software makes pending, bit 0 of the CTLRs only */
    for (int n = 0; n < 16; n++)
        write8(GICD + 0x400 + n, 0xa0 - 0x10 * (n % 8));
    write32(GICC + 4, 0xff);
    write32(GICC, 1);
    write32(GICD, 1);
    show("GICD_CTLR", read32(GICD) & 1);
    for (int n = 32; n < 64; n++)
        write8(GICD + 0x800 + n, 1);
    irq_on();
    write32(GICD + 0xc08, 0x00020000); /* 40 an edge */
    write32(GICD + 0x104, 1 << 8 | 1 << 12);
    write32(GICD + 0x204, 1 << 8);
    report("edge 40");
    write32(GICD + 0x204, 1 << 12);
    report("level 44");
    irq_off();
    write32(GICD + 0x204, 1 << 8);
    show("pending", read32(GICD + 0x204));
    show("highest", read32(GICC + 0x18));
    write32(GICD + 0x284, 1 << 8);
    show("not pending", read32(GICD + 0x204));
    irq_on();
    report("none");
    write32(GICD + 0xf00, 2 << 24 | 5);
    report("SGI 5 to self");
    write32(GICD + 0xf00, 1 << 16 | 6);
    report("SGI 6 by list");
    write32(GICD + 0xf00, 1 << 24 | 7);
    report("SGI 7 to the others");
    irq_off();
    for (int n = 0; n < 8; n++)
        write32(GICD + 0xf00, 2 << 24 | n);
    show("SGIs pending", read32(GICD + 0x200) & 0xffff);
    irq_on();
    asm volatile("isb");
    report("by priority");
    nest = 4;
    write8(GICD + 0x404, 0xa0);
    write8(GICD + 0x403, 0x80);
    write8(GICD + 0x402, 0x60);
    write8(GICD + 0x401, 0x40);
    write8(GICD + 0x400, 0x20);
    write32(GICD + 0xf00, 2 << 24 | 4);
    report("nested");
    show("deepest", deepest);
    nest = 0;

    /* priority masks */
    write8(GICD + 0x405, 0x80);
    write32(GICC + 4, 0x80);
    write32(GICD + 0xf00, 2 << 24 | 5);
    report("held back by PMR");
    write32(GICC + 4, 0x88);
    report("let through");
    write32(GICC + 4, 0xff);

    /* active state, and the same while disabled */
    irq_off();
    write32(GICD + 0xf00, 2 << 24 | 5);
    u32 iar = read32(GICC + 0xc);
    show("by hand", iar);
    show("active", read32(GICD + 0x300) & 0xffff);
    show("running", read32(GICC + 0x14));
    write32(GICC + 0x10, iar);
    show("idle", read32(GICC + 0x14));
    show("active after", read32(GICD + 0x300));
    write32(GICC + 0x10, 1023);
    /* bits 0 and 1 of both: as drivers do that know of groups */
    write32(GICD, 3);
    write32(GICC, 3);
    write32(GICD + 0xf00, 2 << 24 | 9);
    irq_on();
    asm volatile("isb");
    report("with both groups enabled");
    /* 64-bit and pair accesses */
    u64 wide = *(volatile u64 *)(GICD + 0x400 + 32);
    show("64 bits", wide);
    u32 a, b;
    asm volatile("ldp %w0, %w1, [%2]" : "=r"(a), "=r"(b) : "r"(GICD + 0x400 + 32));
    verdict("pair", (a | (u64)b << 32) == wide);
    volatile u32 *enable = (volatile u32 *)(GICD + 0x184);
    for (int n = 0; n < 2; n++)
        *enable++ = 0xffffffff;
    write32(GICD, 0);
    irq_off();
    write32(GICD + 0xf00, 2 << 24 | 9);
    show("nothing forwarded", read32(GICC + 0xc));
    write32(GICD, 1);
    show("then it is", read32(GICC + 0xc));
}
