/*
 * The floor: answer every byte with itself.
 *
 *   echo FD
 *
 * A blocking read and a write per round trip, which is the least that any server of this machine can do.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { BUFFER = 65536 };

int main(int argc, char **argv)
{
    static unsigned char buffer[BUFFER];
    if (argc != 2)
        return 2;
    int fd = atoi(argv[1]);
    for (;;) {
        ssize_t got = read(fd, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0;
        for (ssize_t sent = 0; sent < got;) {
            ssize_t n = write(fd, buffer + sent, (size_t)(got - sent));
            if (n < 0 && errno != EINTR)
                return 1;
            if (n > 0)
                sent += n;
        }
    }
}
