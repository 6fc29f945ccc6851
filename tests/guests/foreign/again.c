/* Asks for a reset. */
#include "bare.h"

void program(void)
{
    say("so long\n");
    psci(0x84000009, 0, 0, 0);
    say("WRONG: still here\n");
}
