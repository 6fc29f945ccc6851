"""QEMU's qtest text protocol, as far as a GICv2 has use for it, without any input or output of its own.

A line is a command; its answer is one line, `OK`, `OK VALUE` or `FAIL SENTENCE`.  Once a device is intercepted, the
changes of its lines come as `IRQ raise N` and `IRQ lower N`, before the answer of the command that caused them.

QEMU 7.2 ends itself where a line makes no sense to it; here such a line is answered with FAIL and a sentence, and
changes nothing.  Everything else is answered as QEMU answers it.
"""
