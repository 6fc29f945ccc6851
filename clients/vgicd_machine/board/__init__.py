"""What the CPUs are connected to: memory, devices, timers and power, and what is put into memory at the start."""
