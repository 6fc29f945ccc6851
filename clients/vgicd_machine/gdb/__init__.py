"""The machine's own gdb endpoint: its CPUs as threads, beside the interrupt controller's, which the daemon serves."""
