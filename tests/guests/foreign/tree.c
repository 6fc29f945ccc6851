/* A walk over the flattened device tree, by hand, as programs without libfdt do it. */
#include "bare.h"

extern u8 _start[];

static u32 cell(const u8 *at) { return (u32)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]; }

static int same(const char *one, const char *two)
{
    while (*one && *one == *two)
        one++, two++;
    return *one == *two;
}

static int starts(const char *text, const char *with)
{
    while (*with)
        if (*text++ != *with++)
            return 0;
    return 1;
}

/* What programs ask of each node; everything else is left out. */
static const struct { const char *node, *property; char form; } wanted[] = {
    {"/", "compatible", 'S'}, {"/", "#address-cells", 'c'}, {"/", "#size-cells", 'c'},
    {"/memory@", "device_type", 's'}, {"/memory@", "reg", 'c'},
    {"/chosen", "bootargs", 's'}, {"/chosen", "stdout-path", 's'},
    {"/psci", "method", 's'}, {"/psci", "compatible", 'S'}, {"/psci", "cpu_on", 'c'}, {"/psci", "cpu_off", 'c'},
    {"/cpus", "#address-cells", 'c'}, {"/cpus", "#size-cells", 'c'},
    {"/cpus/cpu@", "device_type", 's'}, {"/cpus/cpu@", "reg", 'c'}, {"/cpus/cpu@", "enable-method", 's'},
    {"/cpus/cpu@", "compatible", 's'},
    {"/timer", "compatible", 'S'}, {"/timer", "interrupts", 'c'}, {"/timer", "always-on", 'c'},
    {"/intc@", "compatible", 's'}, {"/intc@", "reg", 'c'}, {"/intc@", "#interrupt-cells", 'c'},
    {"/intc@", "interrupt-controller", 'c'},
    {"/pl011@", "compatible", 'S'}, {"/pl011@", "reg", 'c'}, {"/pl011@", "interrupts", 'c'},
    {"/pl011@", "clock-names", 'S'},
    {"/apb-pclk", "compatible", 's'}, {"/apb-pclk", "clock-frequency", 'c'}, {"/apb-pclk", "#clock-cells", 'c'},
    {"/apb-pclk", "clock-output-names", 's'},
};

static char lines[64][256];
static int count;

static char *append(char *at, const char *text)
{
    while (*text)
        *at++ = *text++;
    return at;
}

static void take(const char *path, const char *name, const u8 *value, u32 length)
{
    for (unsigned n = 0; n < sizeof wanted / sizeof *wanted; n++) {
        const char *node = wanted[n].node;
        int match = same(path, node);
        if (!match && starts(path, node) && node[1]) {
            const char *rest = path;
            while (*node)
                rest++, node++;
            match = node[-1] == '@';
            for (; *rest; rest++)
                match &= *rest != '/';
        }
        if (!match || !same(name, wanted[n].property))
            continue;
        char *at = append(append(append(lines[count++], path), " "), name);
        if (wanted[n].form == 'c') {
            for (u32 k = 0; k < length; k += 4) {
                u32 word = cell(value + k);
                at = append(at, k ? "," : "=");
                for (int shift = 28; shift >= 0; shift -= 4)
                    *at++ = "0123456789abcdef"[word >> shift & 15];
            }
        } else {
            at = append(at, "=");
            for (u32 k = 0; k + 1 < length; k++)
                *at++ = value[k] ? (char)value[k] : '|';
        }
        *at = 0;
        return;
    }
}

static int before(const char *one, const char *two)
{
    while (*one && *one == *two)
        one++, two++;
    return (u8)*one < (u8)*two;
}

void program(void)
{
    const u8 *tree = (const u8 *)found[0];
    if (!tree) /* QEMU tells an ELF nothing: its tree is at the beginning of RAM */
        tree = (const u8 *)0x40000000;
    show("magic", cell(tree));
    if (cell(tree) != 0xd00dfeed)
        return;
    show("version", cell(tree + 20));
    show("compatible with", cell(tree + 24));
    show("boot CPU", cell(tree + 28));
    verdict("aligned to 8", ((u64)tree & 7) == 0);
    verdict("clear of the program", tree + cell(tree + 4) <= _start || tree >= (u8 *)image_end);
    const u8 *reserved = tree + cell(tree + 16);
    verdict("no memory reserved", !cell(reserved) && !cell(reserved + 4) && !cell(reserved + 8) && !cell(reserved + 12));
    const u8 *at = tree + cell(tree + 8), *strings = tree + cell(tree + 12);
    char path[256] = "";
    int ends[16] = {0}, depth = 0, end = 0;
    for (;;) {
        u32 token = cell(at);
        at += 4;
        if (token == 1) {
            ends[depth++] = end;
            if (end == 0 || path[end - 1] != '/')
                path[end++] = '/';
            while ((path[end] = (char)*at++))
                end++;
            at = (const u8 *)(((u64)at + 3) & ~3UL);
        } else if (token == 2) {
            end = ends[--depth];
            path[end] = 0;
        } else if (token == 3) {
            u32 length = cell(at);
            take(path, (const char *)strings + cell(at + 4), at + 8, length);
            at += 8 + ((length + 3) & ~3U);
        } else if (token == 9) {
            break;
        } else if (token != 4) {
            show("strange token", token);
            return;
        }
    }
    verdict("balanced", depth == 0);
    /* In alphabetical order: the tree's own order is nobody's business. */
    for (int n = 0; n < count; n++) {
        int least = -1;
        for (int k = 0; k < count; k++)
            if (lines[k][0] && (least < 0 || before(lines[k], lines[least])))
                least = k;
        say(lines[least]);
        say("\n");
        lines[least][0] = 0;
    }
}
