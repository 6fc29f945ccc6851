/* The UART by the book: identification, set-up, status, and a small interpreter fed by interrupts. */
#include "bare.h"

enum { DR = 0x00, RSR = 0x04, FR = 0x18, ILPR = 0x20, IBRD = 0x24, FBRD = 0x28, LCRH = 0x2c, CR = 0x30, IFLS = 0x34,
       IMSC = 0x38, RIS = 0x3c, MIS = 0x40, ICR = 0x44 };

static volatile char buffer[256];
static volatile u32 head, tail, interrupts, sent;

void trap(u64 kind, struct frame *frame)
{
    if (kind != IRQ)
        unexpected(kind, frame);
    u32 iar = read32(GICC + 0xc);
    if ((iar & 0x3ff) == 33) {
        u32 why = read32(UART + MIS);
        interrupts++;
        if (why & (1 << 4 | 1 << 6))
            while (!(read32(UART + FR) & 1 << 4))
                buffer[head++ % 256] = (char)read32(UART + DR);
        if (why & 1 << 5) {
            sent++;
            write32(UART + IMSC, read32(UART + IMSC) & ~(1U << 5));
        }
        write32(UART + ICR, why);
    }
    write32(GICC + 0x10, iar);
}

static char get(void)
{
    while (head == tail)
        wfi();
    return buffer[tail++ % 256];
}

static void polled_text(const char *text)
{
    volatile u8 *data = (volatile u8 *)(UART + DR);
    while (*text) {
        while (!(read16(UART + FR) & 1 << 7)) /* empty */
            ;
        *data = *text++;
    }
}

void program(void)
{
    show("PeriphID0", read8(UART + 0xfe0));
    show("PeriphID2", read16(UART + 0xfe8));
    show("PCellID3", read32(UART + 0xffc));
    show("FR", read32(UART + FR) & 0xa8);
    show("CR", read32(UART + CR));
    show("IFLS", read32(UART + IFLS));
    show("IMSC", read32(UART + IMSC));
    write32(UART + CR, 0);
    write32(UART + ICR, 0x7ff);
    write32(UART + IBRD, 13);
    write32(UART + FBRD, 1);
    write32(UART + LCRH, 3 << 5 | 1 << 4);
    write32(UART + CR, 1 << 0 | 1 << 8 | 1 << 9);
    show("IBRD", read32(UART + IBRD));
    show("FBRD", read32(UART + FBRD));
    show("LCRH", read32(UART + LCRH));
    show("CR", read32(UART + CR));
    write8(UART + DR, 'b');
    write16(UART + DR, 'h');
    write32(UART + DR, 'w' | 0x4100);
    polled_text("\r\n");
    for (const char *at = "post-indexed\r\n"; *at;)
        asm volatile("ldrb w1, [%0], #1\n\tstrb w1, [%1]" : "+r"(at) : "r"(UART) : "w1", "memory");
    u64 base = UART - 8;
    asm volatile("mov w1, #'P'\n\tstr w1, [%0, #8]!\n\tmov w1, #'\\n'\n\tstr w1, [%0], #4" : "+r"(base) : : "w1", "memory");
    verdict("write-back", base == UART + 4);
    show("RSR", read32(UART + RSR));
    write32(UART + RSR, 0);

    write32(GICD, 1);
    write8(GICD + 0x400 + 33, 0x80);
    write8(GICD + 0x800 + 33, 1);
    write32(GICD + 0x104, 1 << 1);
    write32(GICC + 4, 0xf0);
    write32(GICC, 1);
    irq_on();
    write32(UART + IMSC, 1 << 5); /* room to send */
    put('.');
    put('\n');
    while (!sent)
        wfi();
    show("sent", sent);
    write32(UART + IMSC, 1 << 4 | 1 << 6);
    say("> ");
    char line[64];
    unsigned length = 0;
    for (;;) {
        char c = get();
        if (c == '\n' || c == '\r') {
            line[length] = 0;
            say("\nyou said: ");
            say(line);
            say("\n");
            if (length == 4 && line[0] == 'q' && line[3] == 't')
                break;
            length = 0;
            say("> ");
        } else if (length < 63) {
            line[length++] = c;
            put(c);
        }
    }
    verdict("by interrupts", interrupts > 0);
    verdict("nothing left", read32(UART + FR) & 1 << 4);
    show("MIS", read32(UART + MIS));
}
