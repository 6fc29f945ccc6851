"""A bridge from stock QEMU to vgicd: the guest of an unmodified QEMU has a vgicd daemon as its interrupt controller.

QEMU gives its machine `virt` an EL2 that the guest does not use.  A stub of 500 bytes runs there: stage 2 leaves out
the windows of the GIC, so that an access to them comes to the stub with every register of EL1 as it was, and the stub
hands it over (`mailbox`).  The outputs of vgicd drive the CPU's VIRQ and VFIQ inputs over qtest wires, the CPU's timer
outputs come back over qtest as PPIs, and QEMU's own GIC, which the guest cannot reach, tells of its devices.
"""

from __future__ import annotations
