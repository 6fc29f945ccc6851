/* What the compiler may call in freestanding programs too. */
#include "bare.h"

void *memset(void *to, int value, u64 size)
{
    for (volatile u8 *at = to; size--;)
        *at++ = (u8)value;
    return to;
}

void *memcpy(void *to, const void *from, u64 size)
{
    const u8 *source = from;
    for (volatile u8 *at = to; size--;)
        *at++ = *source++;
    return to;
}
