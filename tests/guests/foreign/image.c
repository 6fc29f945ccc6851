/* The C half of image.S: its tables of pointers are right only when the relocations have been done. */
#include "bare.h"

static const char *const names[] = {"zero", "one", "two"};
static u64 (*const functions[])(u64, u64, u64, u64);
static u64 triple(u64 a, u64 b, u64 c, u64 d) { return a + b * c + d; }
static u64 (*const functions[])(u64, u64, u64, u64) = {psci, triple};
static char data[] = "initialised";
static u8 beyond[0x3000];

void program(u64 tree, u64 where)
{
    show("loaded at", where);
    show("tree", tree);
    const u8 *at = (const u8 *)tree;
    show("magic", (u32)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]);
    for (int n = 0; n < 3; n++) {
        say(names[n]);
        say("\n");
    }
    say(data);
    show("\nfunctions", functions[1](1, 2, 3, 4));
    u32 sum = 0;
    for (unsigned n = 0; n < sizeof beyond; n++)
        sum += beyond[n];
    show("zeroes", sum);
    /* code that is copied elsewhere, and run there */
    u64 (*copy)(u64, u64, u64, u64) = (void *)0x42000000;
    for (int n = 0; n < 16; n++)
        ((volatile u32 *)copy)[n] = ((u32 *)triple)[n];
    asm volatile("dc cvau, %0\n\tdsb ish\n\tic ivau, %0\n\tdsb ish\n\tisb" : : "r"(copy) : "memory");
    show("copied", copy(5, 6, 7, 8));
    /* and patched in place */
    volatile u32 *patch = (volatile u32 *)0x42000100;
    u32 total = 0;
    for (u32 n = 0; n < 100; n++) {
        patch[0] = 0x52800000 | n << 5;
        patch[1] = 0xd65f03c0;
        asm volatile("dc cvau, %0\n\tdsb ish\n\tic ivau, %0\n\tdsb ish\n\tisb" : : "r"(patch) : "memory");
        total += ((u32(*)(void))patch)();
    }
    show("patched", total);
    /* the very end of the default RAM */
    volatile u64 *last = (volatile u64 *)0x47fffff8;
    *last = 0x5a5a;
    show("the last word", *last);
}
