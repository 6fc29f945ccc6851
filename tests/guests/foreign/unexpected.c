/* What a program says that takes an exception it has not foreseen. */
#include "bare.h"

_Noreturn void unexpected(u64 kind, struct frame *frame)
{
    say("UNEXPECTED ");
    decimal(kind);
    show("\nESR", MRS(ESR_EL1));
    show("FAR", MRS(FAR_EL1));
    show("ELR", frame->elr);
    show("SPSR", frame->spsr);
    for (;;)
        psci(0x84000008, 0, 0, 0);
}
