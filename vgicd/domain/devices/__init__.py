"""Devices of the domain that drive level lines: timers, event channel, UART (profile `xen-guest`)."""
