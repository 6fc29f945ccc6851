/* Translation tables: 4 KiB pages and blocks, both halves, aliases, faults that are repaired, and all the maintenance. */
#include "bare.h"

#ifndef GRANULE
#define GRANULE 12
#endif
#define PAGE (1UL << GRANULE)
#define ENTRIES (PAGE / 8)
#define BITS (GRANULE - 3)
#define LAST_SHIFT GRANULE
#define BLOCK_SHIFT (GRANULE + BITS) /* 2 MiB, or 512 MiB */
#ifdef WIDE
#define TOP_SHIFT (GRANULE + 3 * BITS) /* 48 bits: four levels */
#else
#define TOP_SHIFT (GRANULE + 2 * BITS)
#endif

#define VALID 1UL
#define TABLE 2UL
#define DEVICE (0UL << 2)
#define NORMAL (1UL << 2)
#define UNCACHED (2UL << 2)
#define USER (1UL << 6)
#define READ_ONLY (2UL << 6)
#define INNER (3UL << 8)
#define ACCESSED (1UL << 10)
#define NOT_GLOBAL (1UL << 11)
#define PXN (1UL << 53)
#define UXN (1UL << 54)

static u64 tables[30][ENTRIES] __attribute__((aligned(PAGE)));
static int used;
static u8 arena[PAGE * 8] __attribute__((aligned(PAGE)));
static volatile u32 faults;
static volatile u64 repair;

static u64 *table(void) { return tables[used++]; }

static u64 *walk(u64 *top, u64 address, int shift)
{
    for (int level = GRANULE == 12 ? TOP_SHIFT : BLOCK_SHIFT; level > shift; level -= BITS) {
        u64 *entry = &top[address >> level & (ENTRIES - 1)];
        if (!(*entry & VALID))
            *entry = (u64)table() | VALID | TABLE;
        top = (u64 *)(*entry & 0xfffffffff000UL & ~(PAGE - 1));
    }
    return &top[address >> shift & (ENTRIES - 1)];
}

static void block(u64 *top, u64 address, u64 physical, u64 attributes)
{
    *walk(top, address, BLOCK_SHIFT) = physical | VALID | ACCESSED | attributes;
}

static void page(u64 *top, u64 address, u64 physical, u64 attributes)
{
    *walk(top, address, LAST_SHIFT) = physical | VALID | TABLE | ACCESSED | attributes;
    asm volatile("dsb ishst" : : : "memory");
}

static void forget(u64 address)
{
    asm volatile("dsb ishst\n\ttlbi vaae1is, %0\n\tdsb ish\n\tisb" : : "r"(address >> 12) : "memory");
}

static u64 *low, *high;

void trap(u64 kind, struct frame *frame)
{
    u64 syndrome = MRS(ESR_EL1), address = MRS(FAR_EL1);
    if (kind != SYNC)
        unexpected(kind, frame);
    faults++;
    say("fault ");
    hex(syndrome);
    say(" at ");
    hex(address);
    say("\n");
    switch (syndrome >> 26) {
    case 0x25:
        if (repair) {
            u64 *entry = walk((long)address < 0 ? high : low, address, LAST_SHIFT);
            *entry = repair;
            forget(address);
        } else {
            frame->elr += 4;
        }
        break;
    case 0x21:
        frame->elr = frame->x[30];
        break;
    default:
        unexpected(kind, frame);
    }
}

static u64 translate(u64 address)
{
    asm volatile("at s1e1r, %0\n\tisb" : : "r"(address));
    return MRS(PAR_EL1);
}

extern u8 code_start[], code_end[];
asm(".text\n\t.balign 16\n\t.global code_start, code_end\ncode_start: mov x0, #1\n\tret\ncode_end:");

void program(void)
{
    low = table();
    high = table();
    u64 block_size = 1UL << BLOCK_SHIFT;
    /* RAM by blocks, devices by pages or by a block */
    for (u64 at = 0x40000000; at < 0x48000000; at += block_size)
        block(low, at, at, NORMAL | INNER);
    for (u64 at = 0x08000000 & ~(block_size - 1); at < 0x0a000000; at += block_size)
        block(low, at, at, DEVICE | PXN | UXN);
    page(high, 0xffffff8000000000UL, (u64)arena, NORMAL | INNER | UXN);
    page(high, 0xffffff8000000000UL + PAGE, (u64)arena, UNCACHED | UXN);
    page(high, 0xffffff8000000000UL + 2 * PAGE, 0x09000000, DEVICE | PXN | UXN);
    page(high, 0xffffff8000000000UL + 3 * PAGE, (u64)arena + PAGE, NORMAL | INNER | READ_ONLY);

    asm volatile("ic iallu\n\tdsb nsh\n\ttlbi vmalle1\n\tdsb nsh\n\tisb");
    MSR(MAIR_EL1, 0x44ff00); /* device-nGnRnE, write-back, non-cacheable */
#ifdef WIDE
    u64 size = 64 - 48;
#else
    u64 size = GRANULE == 12 ? 64 - 39 : 64 - 42;
#endif
    u64 granules = GRANULE == 12 ? 0UL << 14 | 2UL << 30 : 1UL << 14 | 3UL << 30;
    MSR(TCR_EL1, size | size << 16 | 1UL << 8 | 1UL << 10 | 3UL << 12 | 1UL << 24 | 1UL << 26 | 3UL << 28 | granules | 2UL << 32);
    MSR(TTBR0_EL1, low);
    MSR(TTBR1_EL1, high);
    say("before\n");
    asm volatile("dsb sy\n\tisb");
    MSR(SCTLR_EL1, MRS(SCTLR_EL1) | 1 | 1 << 2 | 1 << 12);
    say("on\n");
    show("SCTLR", MRS(SCTLR_EL1));

    volatile u64 *one = (u64 *)0xffffff8000000000UL, *two = (u64 *)(0xffffff8000000000UL + PAGE);
    one[0] = 0x1122334455667788;
    show("alias", two[0]);
    show("alias below", *(volatile u64 *)arena);
    *(volatile u32 *)(0xffffff8000000000UL + 2 * PAGE) = '!';
    say(" by another address\n");
    show("translated", translate((u64)one + 8) & ~0xfffUL & 0xfffffffffffUL);
    show("not translated", translate(0xffffff80ffff0000UL) & 1);

    say("a hole, repaired\n");
    repair = ((u64)arena + 2 * PAGE) | VALID | TABLE | ACCESSED | NORMAL | INNER;
    volatile u64 *hole = (u64 *)(0xffffff8000000000UL + 5 * PAGE);
    hole[3] = 77;
    show("stored", hole[3]);
    show("seen", ((u64 *)(arena + 2 * PAGE))[3]);
    say("copied on write\n");
    volatile u64 *fixed = (u64 *)(0xffffff8000000000UL + 3 * PAGE);
    ((volatile u64 *)(arena + PAGE))[1] = 5;
    show("read", fixed[1]);
    repair = ((u64)arena + 3 * PAGE) | VALID | TABLE | ACCESSED | NORMAL | INNER;
    fixed[1] = 6;
    show("new", fixed[1]);
    show("old", ((u64 *)(arena + PAGE))[1]);
    say("the access flag\n");
    repair = ((u64)arena + 4 * PAGE) | VALID | TABLE | ACCESSED | NORMAL | INNER;
    *walk(high, 0xffffff8000000000UL + 6 * PAGE, LAST_SHIFT) = repair & ~ACCESSED;
    asm volatile("dsb ishst");
    show("flagged", ((volatile u64 *)(0xffffff8000000000UL + 6 * PAGE))[0]);
    repair = 0;
    say("skipped\n");
    (void)*(volatile u64 *)(0xffffff8000000000UL + 9 * PAGE);
    *(volatile u8 *)0x7f00000123UL = 1;
    asm volatile("ldp x1, x2, [%0]" : : "r"(0xffffff8000000000UL + 6 * PAGE - 8 + 3 * PAGE) : "x1", "x2", "memory");
    say("executed where it may not be\n");
    ((void (*)(void))(0xffffff8000000000UL + 2 * PAGE))();
    ((void (*)(void))(0xffffff8000000000UL + 9 * PAGE))();

    say("remapped\n");
    for (int n = 0; n < 4; n++) {
        arena[n * PAGE + 64] = 10 + n;
        page(high, 0xffffff8000000000UL + 7 * PAGE, (u64)arena + n * PAGE, NORMAL | INNER);
        u64 number = (0xffffff8000000000UL + 7 * PAGE) >> 12;
        switch (n) {
        case 0: asm volatile("tlbi vae1, %0\n\tdsb nsh\n\tisb" : : "r"(number)); break;
        case 1: asm volatile("tlbi vale1is, %0\n\tdsb ish\n\tisb" : : "r"(number)); break;
        case 2: asm volatile("tlbi vmalle1is\n\tdsb ish\n\tisb"); break;
        case 3: asm volatile("tlbi aside1is, xzr\n\ttlbi vaale1, %0\n\tdsb ish\n\tisb" : : "r"(number)); break;
        }
        show("page", *(volatile u8 *)(0xffffff8000000000UL + 7 * PAGE + 64));
    }

    say("address spaces\n");
    u64 *spaces[2] = {table(), table()};
    for (int n = 0; n < 2; n++) {
        for (u64 at = 0x40000000; at < 0x48000000; at += block_size)
            block(spaces[n], at, at, NORMAL | INNER);
        block(spaces[n], 0x08000000 & ~(block_size - 1), 0x08000000 & ~(block_size - 1), DEVICE);
        block(spaces[n], 0x09000000 & ~(block_size - 1), 0x09000000 & ~(block_size - 1), DEVICE);
        page(spaces[n], 0x60000000, (u64)arena + n * PAGE, NORMAL | INNER | NOT_GLOBAL);
    }
    for (u64 n = 0; n < 6; n++) {
        MSR(TTBR0_EL1, (u64)spaces[n & 1] | ((n & 1) + 1) << 48);
        show("space", *(volatile u8 *)(0x60000000 + 64));
    }
    MSR(TTBR0_EL1, low);
    asm volatile("tlbi vmalle1\n\tdsb nsh\n\tisb");

    say("caches\n");
    u64 line = 4UL << (MRS(CTR_EL0) >> 16 & 15), instruction = 4UL << (MRS(CTR_EL0) & 15);
    for (u64 at = (u64)arena; at < (u64)arena + PAGE; at += line) {
        asm volatile("dc cvac, %0\n\tdc civac, %0\n\tdc cvau, %0" : : "r"(at) : "memory");
        if (at == (u64)arena)
            asm volatile("dc ivac, %0" : : "r"(at) : "memory");
    }
    for (u64 at = (u64)code_start; at < (u64)code_end; at += instruction)
        asm volatile("ic ivau, %0" : : "r"(at) : "memory");
    asm volatile("dsb ish\n\tic ialluis\n\tic iallu\n\tdsb ish\n\tisb");
    for (u64 level = 0; level < 2; level++)
        asm volatile("dc isw, %0\n\tdc csw, %0\n\tdc cisw, %0" : : "r"(level << 1) : "memory");
    verdict("DC ZVA allowed", !(MRS(DCZID_EL0) & 16));
    for (unsigned n = 0; n < 256; n++)
        arena[n] = 0xee;
    u64 zero = 4UL << (MRS(DCZID_EL0) & 15);
    asm volatile("dc zva, %0" : : "r"((u64)arena + zero + 5) : "memory");
    show("before the block", arena[zero - 1]);
    show("zeroed", arena[zero] | arena[2 * zero - 1]);
    show("after it", arena[2 * zero]);

    say("code\n");
    u64 (*function)(void) = (u64 (*)(void))(0xffffff8000000000UL + 7 * PAGE);
    page(high, (u64)function, (u64)arena + 4 * PAGE, NORMAL | INNER);
    forget((u64)function);
    for (u32 n = 0; n < 3; n++) {
        volatile u32 *text = (volatile u32 *)(arena + 4 * PAGE);
        text[0] = 0xd2800000 | n << 5; /* mov x0, #n */
        text[1] = 0xd65f03c0;          /* ret */
        asm volatile("dc cvau, %0\n\tdsb ish\n\tic ivau, %1\n\tdsb ish\n\tisb" : : "r"(text), "r"(function) : "memory");
        show("makes", function());
    }
    say("unaligned\n");
    volatile u64 *odd = (volatile u64 *)(arena + PAGE - 3);
    *odd = 0x0102030405060708;
    show("across pages", *odd);
    asm volatile("dsb sy\n\tisb");
    MSR(SCTLR_EL1, MRS(SCTLR_EL1) & ~(1UL | 1 << 2 | 1 << 12));
    asm volatile("tlbi vmalle1\n\tic iallu\n\tdsb sy\n\tisb");
    say("off\n");
    show("faults", faults);
}
