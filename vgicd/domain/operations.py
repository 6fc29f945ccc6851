"""Operations: every input of a domain, and the one shape of every answer.

An operation is a plain record; `Domain.apply` runs it to completion and returns a `Result`, or raises a
`RequestError` after which the domain is exactly as it was.  Nothing else changes a domain.  The field names are
those of the wire's message bodies, so that the two map onto each other without a table.

Numbers are plain ints: `vcpu` 0..7, `intid` 0..1019, `pirq` a physical INTID, `level` 0 or 1.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final, NamedTuple

from vgicd.hw.effects import Effect


class Space(IntEnum):
    """The address space of a READ or WRITE."""

    PHYSICAL = 0  # guest-physical addresses, decoded by the address map
    GICD = 1
    GICC = 2  # GICV, at the address at which the guest sees its CPU interface
    GICH = 3
    DEVICE = 4  # registers of the domain's own devices that no guest can address (vtimer, event channel)


class Plane(IntEnum):
    """What an access may do besides answer."""

    GUEST = 0  # the architecture's side effects
    DEBUG = 1  # none, ever; reads only
    RESTORE = 2  # sets state exactly, without the effects on queues' owners or on hardware


class Read(NamedTuple):
    """Read `size` bytes at `address` of `space` as `vcpu`. Value: the datum, 0 on a fault."""

    vcpu: int
    space: int
    address: int
    size: int
    plane: int = 0


class Write(NamedTuple):
    """Write the low `size` bytes of `value`."""

    vcpu: int
    space: int
    address: int
    size: int
    value: int
    plane: int = 0


NO_VCPU: Final = 0xFFFF


class Line(NamedTuple):
    """Drive the input line of a PPI (`vcpu` owns it) or SPI (`vcpu` is `NO_VCPU`).

    `pulse` is a rise and a fall in one operation: one trigger of an edge interrupt.
    """

    intid: int
    level: int
    vcpu: int = NO_VCPU
    pulse: bool = False


class Enter(NamedTuple):
    """Explicit mode: load `vcpu`'s list registers and enter the guest. Value: `EnterState`."""

    vcpu: int


class EnterState(NamedTuple):
    """What the hardware holds after loading; `used` list registers were filled."""

    lrs: tuple[int, ...]
    hcr: int
    used: int
    misr: int


class Exit(NamedTuple):
    """Explicit mode: leave the guest and fold `vcpu`'s list registers. Value: `ExitState`."""

    vcpu: int


class ExitState(NamedTuple):
    """The hardware as found before folding, and `hcr` after it."""

    lrs: tuple[int, ...]
    eisr: int
    elrsr: int
    misr: int
    apr: int
    hcr: int


class Mode(NamedTuple):
    """Choose who switches worlds: the domain (automatic) or the client (explicit)."""

    explicit: bool


class LrGet(NamedTuple):
    """Value: `LrState`. Changes nothing."""

    vcpu: int


class LrState(NamedTuple):
    """A vCPU's GICH block. `eisr` and `elrsr` are 64 bits wide: bit n is LRn."""

    inside: bool
    used: int
    hcr: int
    vtr: int
    vmcr: int
    misr: int
    eisr: int
    elrsr: int
    apr: int
    lrs: tuple[int, ...]


class LrSet(NamedTuple):
    """Explicit mode, `vcpu` inside: write list register `index`."""

    vcpu: int
    index: int  # type: ignore[assignment]  # the wire's name wins over tuple.index, which nobody calls on it
    value: int


class Gich(NamedTuple):
    """Explicit mode, `vcpu` inside: write `value` to the GICH register at `offset`."""

    vcpu: int
    offset: int
    value: int


class IrqInfo(NamedTuple):
    """Everything known of one interrupt, its list register overlaid. Value: `IrqState`."""

    intid: int
    vcpu: int = NO_VCPU


class IrqState(NamedTuple):
    """One interrupt as the guest would find it now; `listed` and `lr` are -1 when it is on no ap_list or in no LR."""

    intid: int
    vcpu: int  # the owner of an SGI or PPI, else NO_VCPU
    enabled: bool
    is_level: bool
    line_level: bool
    pending_latch: bool
    pending: bool
    active: bool
    group: int
    priority: int
    targets: int
    target: int  # the vCPU that `targets` selects, -1 if none
    source: int
    active_source: int
    hw: bool
    hwintid: int
    listed: int
    position: int  # in the ap_list, -1 when not listed
    lr: int
    lr_value: int


class Dump(NamedTuple):
    """Text for people. `kind` 0: Xen's virtual interrupt info; 1: KVM's vgic-state table. Value: str."""

    kind: int


class VirqAlloc(NamedTuple):
    """Allocate the lowest free virq. Value: its number, or -1."""

    spi: bool


class VirqReserve(NamedTuple):
    """Claim `virq`. Value: True iff it was free and exists."""

    virq: int


class VirqFree(NamedTuple):
    """Give `virq` back."""

    virq: int


class HwConnect(NamedTuple):
    """Tie SPI `virq` to physical interrupt `pirq`. Value: 0 or a negative errno."""

    virq: int
    pirq: int


class HwDisconnect(NamedTuple):
    """Untie `virq`; `pirq` None unties whatever it is tied to. Value: 0 or a negative errno."""

    virq: int
    pirq: int | None = None


class HwDesc(NamedTuple):
    """Value: the physical INTID tied to `virq`, or None."""

    virq: int


class PhysLine(NamedTuple):
    """Drive the physical line of `pirq`."""

    pirq: int
    level: int


class HwIrq(NamedTuple):
    """Explicit mode: physical `pirq` fires and is taken by the hypervisor for `virq`."""

    pirq: int
    virq: int


class VcpuMove(NamedTuple):
    """`vcpu` runs on physical CPU `pcpu` from now on; its hardware interrupts follow."""

    vcpu: int
    pcpu: int


class PendingCheck(NamedTuple):
    """Has `vcpu` something to be woken for? Value: bool. Changes nothing."""

    vcpu: int


class EventChannelPending(NamedTuple):
    """Is the event channel interrupt of `vcpu` pending? Value: bool. Changes nothing."""

    vcpu: int


class VcpuPower(NamedTuple):
    """Power `vcpu` off or on (PSCI CPU_OFF, CPU_ON)."""

    vcpu: int
    on: bool


class SetIrqLevel(NamedTuple):
    """Xen's set_irq_level hypercall for device models. Value: 0 or a negative errno."""

    intid: int
    level: int
    padding: int = 0


class EventChannel(NamedTuple):
    """Set (raising the line if it was clear) or clear `vcpu`'s upcall-pending flag in shared memory."""

    vcpu: int
    flag: bool


class Console(NamedTuple):
    """Offer `data` to the vPL011's receiver and take what the guest transmitted. Value: `ConsoleState`."""

    data: bytes = b""


class ConsoleState(NamedTuple):
    """`accepted` bytes of the offer fitted the receive FIFO; `data` is what the guest wrote since the last call."""

    accepted: int
    data: bytes


class Time(NamedTuple):
    """Advance virtual time to `now` (ticks of the guest's counter, never backwards)."""

    now: int


class Snapshot(NamedTuple):
    """Value: `dict[str, tuple[int, ...]]`, the state image. Changes nothing."""


class Restore(NamedTuple):
    """Replace the whole state by a state image of the same geometry."""

    image: dict[str, tuple[int, ...]]


class Reset(NamedTuple):
    """Build the domain anew; `config` None keeps its configuration.

    Value: 0 or the negative errno with which creation refused `config`; then the old domain stays as it was.
    """

    config: Any = None  # DomainConfig | None


class Stats(NamedTuple):
    """Value: `dict[str, int]`: operations, accesses, guest faults by kind and register. Changes nothing."""


class Result(NamedTuple):
    """The answer to an applied operation.

    `fault`: the guest took an abort (value is then 0).  `order`: the operation's number in the domain's total order
    (the last one applied, for an operation that changes nothing).  `outputs`: bit 2v the vIRQ and bit 2v+1 the vFIQ
    level of vCPU v.  `effects`: kicks and physical calls in order.
    """

    value: Any
    fault: bool
    order: int
    outputs: int
    effects: tuple[Effect, ...]
