// loopback COUNT: make the console's UART receive COUNT characters, one interrupt or more for each.
//
// A PL011 that sends at once never fills its FIFO, and Linux takes no interrupt from it for output.  In loopback mode
// (UARTCR.LBE, DDI 0183 3.3.8) it receives what it sends.  Status 0 if every character came back within a second, else
// 1: then this UART has no such mode.  The characters are NUL, of which a terminal shows nothing.

#include "calls.h"

enum { TIOCM_LOOP = 0x8000, POLLIN = 1 };

struct termios {
    unsigned iflag, oflag, cflag, lflag;
    unsigned char line, cc[19];
};

struct pollfd {
    int file;
    short events, revents;
};

static int comes_back(void)
{
    static const char sent = 0;
    char received = 1;
    word second[] = {1, 0};
    struct pollfd input = {STDIN, POLLIN, 0};
    put(STDOUT, &sent, 1);
    return call(PPOLL, (word)&input, 1, (word)second, 0, 0) == 1 && call(READ, STDIN, (word)&received, 1, 0, 0) == 1 &&
           received == sent;
}

void run(const word *stack)
{
    static struct termios before, raw;
    unsigned loop = TIOCM_LOOP;
    int count = stack[0] > 1 ? *(const char *)stack[2] - '0' : 1;
    if (call(IOCTL, STDIN, TCGETS, (word)&before, 0, 0) || call(IOCTL, STDIN, TCGETS, (word)&raw, 0, 0))
        leave(1);
    raw.iflag = raw.oflag = raw.lflag = 0; // above all no echo, which would come back too
    call(IOCTL, STDIN, TCSETSW, (word)&raw, 0, 0);
    int status = call(IOCTL, STDIN, TIOCMBIS, (word)&loop, 0, 0) != 0;
    while (!status && count-- > 0)
        status = !comes_back();
    call(IOCTL, STDIN, TIOCMBIC, (word)&loop, 0, 0);
    call(IOCTL, STDIN, TCSETSW, (word)&before, 0, 0);
    leave(status);
}
