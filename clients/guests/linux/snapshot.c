// snapshot [NAME COUNT]: print /proc/interrupts COUNT times, each between two marks that tell when it was read.
//
// What reads the guest's console from outside can count interrupt acknowledges up to each mark, and so compare them
// with the kernel's own numbers.  The marks go through /dev/kmsg: printk writes to the UART before it returns, while a
// terminal's output may leave later.  For the same reason the terminal is drained first, and last.

#include "calls.h"

static char table[1 << 16];

static word append(char *to, word at, const char *text)
{
    for (word n = 0; *text && n < 64; n++)
        to[at++] = *text++;
    return at;
}

// One printk, at the one level that no console hides. Opened anew each time: the kernel limits the rate of an opening.
static void mark(const char *name, int number, const char *what)
{
    char line[256];
    word at = append(line, 0, "<0>snapshot ");
    at = append(line, at, name);
    line[at++] = ' ';
    line[at++] = '0' + number / 10 % 10;
    line[at++] = '0' + number % 10;
    line[at++] = ' ';
    at = append(line, at, what);
    line[at++] = '\n';
    int file = open_file("/dev/kmsg", O_WRONLY);
    put(file, line, at);
    close_file(file);
}

// Wait for a tick: the coarse clock moves with it. All CPUs tick at one time, so there is then the most time without.
static void wait_for_tick(void)
{
    const word monotonic_coarse = 6;
    word before[2], now[2];
    if (call(CLOCK_GETTIME, monotonic_coarse, (word)before, 0, 0, 0))
        leave(1);
    do
        call(CLOCK_GETTIME, monotonic_coarse, (word)now, 0, 0, 0);
    while (now[0] == before[0] && now[1] == before[1]);
}

static word read_table(void)
{
    word size = 0;
    int file = open_file("/proc/interrupts", O_RDONLY);
    for (;;) {
        long n = call(READ, file, (word)table + size, sizeof table - size, 0, 0);
        if (n < 0)
            leave(1);
        if (!n)
            break;
        size += n;
    }
    close_file(file);
    return size;
}

static int number_in(const char *text)
{
    int number = 0;
    for (; *text >= '0' && *text <= '9' && number < 10; text++)
        number = number * 10 + *text - '0';
    return number;
}

void run(const word *stack)
{
    const char *name = stack[0] > 2 ? (const char *)stack[2] : "";
    int count = stack[0] > 2 ? number_in((const char *)stack[3]) : 0;
    for (int number = 1; number <= count; number++) {
        drain();
        wait_for_tick();
        mark(name, number, "begins");
        word size = read_table();
        mark(name, number, "ends");
        put(STDOUT, table, size);
    }
    drain();
    leave(0);
}
