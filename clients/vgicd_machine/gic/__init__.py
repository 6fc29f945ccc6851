"""The way to the interrupt controller, in another process or in this one."""
