"""A small AArch64 machine whose interrupt controller lives in another process.

Unicorn executes the guest; every access to the GIC's frames and every change of a device's line goes through a
`GicPort`, normally over a socket to a vgicd daemon, and the guest's interrupts are the output levels in the replies.
The engine is the optional extra `vgicd[emulator]` and imported only when a machine is built.
"""
