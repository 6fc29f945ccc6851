// System calls of arm64 Linux, and the little that the programs here need of a C library.
//
// Freestanding: a cross compiler is enough to build them, no C library for the target is needed.

#ifndef CALLS_H
#define CALLS_H

typedef unsigned long word;

enum { IOCTL = 29, OPENAT = 56, CLOSE = 57, READ = 63, WRITE = 64, PPOLL = 73, EXIT_GROUP = 94, CLOCK_GETTIME = 113 };
enum { STDIN = 0, STDOUT = 1, STDERR = 2 };
enum { O_RDONLY = 0, O_WRONLY = 1 };
enum { TCGETS = 0x5401, TCSETSW = 0x5403, TCSBRK = 0x5409, TIOCMBIS = 0x5416, TIOCMBIC = 0x5417 };

static inline long call(long number, word a, word b, word c, word d, word e)
{
    register long x8 __asm__("x8") = number;
    register word x0 __asm__("x0") = a;
    register word x1 __asm__("x1") = b;
    register word x2 __asm__("x2") = c;
    register word x3 __asm__("x3") = d;
    register word x4 __asm__("x4") = e;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return (long)x0;
}

__attribute__((noreturn)) static inline void leave(int status)
{
    for (;;)
        call(EXIT_GROUP, status, 0, 0, 0, 0);
}

static inline void put(int file, const char *text, word left)
{
    while (left) {
        long written = call(WRITE, file, (word)text, left, 0, 0);
        if (written <= 0)
            leave(1);
        text += written;
        left -= written;
    }
}

static inline int open_file(const char *path, int flags)
{
    const long at_working_directory = -100;
    long file = call(OPENAT, (word)at_working_directory, (word)path, flags, 0, 0);
    if (file < 0) {
        static const char why[] = "a file of /proc or /dev cannot be opened\n";
        put(STDERR, why, sizeof why - 1);
        leave(1);
    }
    return (int)file;
}

static inline void close_file(int file)
{
    call(CLOSE, file, 0, 0, 0, 0);
}

// Wait until the terminal has sent everything.
static inline void drain(void)
{
    call(IOCTL, STDOUT, TCSBRK, 1, 0, 0);
}

// `run` gets what the kernel leaves on the stack: the number of arguments, then they.
__attribute__((noreturn)) void run(const word *stack);
__asm__(".global _start\n_start: mov x0, sp\n mov x29, xzr\n mov x30, xzr\n b run\n");

#endif
