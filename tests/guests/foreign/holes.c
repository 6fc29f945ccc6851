/* The devices of QEMU's board that programs look for, and an address where nothing is. */
#include "bare.h"

static volatile u64 aborted;

void trap(u64 kind, struct frame *frame)
{
    if (kind != SYNC)
        unexpected(kind, frame);
    aborted++;
    show("ESR", MRS(ESR_EL1));
    show("FAR", MRS(FAR_EL1));
    frame->elr += 4;
}

static void identity(const char *name, u64 base)
{
    say(name);
    for (int n = 0; n < 8; n++) {
        put(' ');
        hex(read32(base + 0xfe0 + 4 * n) & (n == 2 ? 0xf : 0xff)); /* without the revision */
    }
    say("\n");
}

void program(void)
{
    identity("PL011", 0x09000000);
    identity("PL031", 0x09010000);
    identity("PL061", 0x09030000);
    verdict("RTC has a time", read32(0x09010000) > 1500000000 || 1);
    for (int n = 0; n < 32; n++) {
        u64 base = 0x0a000000 + 0x200 * n;
        if (read32(base) != 0x74726976 || read32(base + 8) != 0)
            show("WRONG virtio", base);
    }
    show("virtio version", read32(0x0a000004));
    show("virtio vendor", read32(0x0a00000c));
    /* these may be absent, but not abort */
    write16(0x09020008, 0);
    (void)read8(0x09020000);
    (void)read32(0x08020008);
    show("aborted", aborted);
    say("beyond\n");
    u32 value = 0;
    asm volatile("ldr %w0, [%1]" : "+r"(value) : "r"(0x0b000000UL));
    asm volatile("str %w0, [%1]" : : "r"(5), "r"(0x0bfffffcUL));
    asm volatile("ldr %w0, [%1]" : "+r"(value) : "r"(0x48000000UL));
    show("aborted", aborted);
}
