#include "console.h"

#include <stdarg.h>

#define FIFO_FULL 0x20u

struct sink {
    char *next;     /* NULL: the console */
    char *end;
};

static char reason[160];

void put_char(char c)
{
    while (mmio_read(UARTFR) & FIFO_FULL)
        ;
    mmio_write(UARTDR, (u8)c);
}

static void put(struct sink *sink, char c)
{
    if (!sink->next)
        put_char(c);
    else if (sink->next < sink->end)
        *sink->next++ = c;
}

static void put_number(struct sink *sink, u32 number, u32 base)
{
    char digits[10];
    unsigned count = 0;

    do {
        digits[count++] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number);
    while (count)
        put(sink, digits[--count]);
}

static void format_to(struct sink *sink, const char *format, va_list arguments)
{
    for (; *format; format++) {
        if (*format != '%') {
            put(sink, *format);
            continue;
        }
        switch (*++format) {
        case 'u':
            put_number(sink, va_arg(arguments, u32), 10);
            break;
        case 'x':
            put_number(sink, va_arg(arguments, u32), 16);
            break;
        case 'c':
            put(sink, (char)va_arg(arguments, int));
            break;
        case 's':
            for (const char *s = va_arg(arguments, const char *); *s; s++)
                put(sink, *s);
            break;
        default:
            put(sink, *format);
        }
    }
}

void say(const char *format, ...)
{
    struct sink console = { 0, 0 };
    va_list arguments;

    va_start(arguments, format);
    format_to(&console, format, arguments);
    va_end(arguments);
}

const char *fail(const char *format, ...)
{
    struct sink buffer = { reason, reason + sizeof reason - 1 };
    va_list arguments;

    va_start(arguments, format);
    format_to(&buffer, format, arguments);
    va_end(arguments);
    *buffer.next = 0;
    return reason;
}
