"""Requests: what a client can ask, each declared once for the blocking and the trio client.

A function here checks nothing that the protocol's declarations check; its parameters are the fields of a message and
its return type says what the answer is.  The clients turn every function into a method of the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, TypeVar

from vgicd_client.replies import ConsoleState, EnterState, ExitState, IrqState, LrState, VectorResult
from vgicd_protocol import vector as wire_vector
from vgicd_protocol.frames import NO_VCPU, Opcode, Plane
from vgicd_protocol.image import StateImage

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Fields = dict[str, Any]

NO_FIELDS: Final[Fields] = {}


@dataclass(frozen=True, slots=True)
class Request(Generic[T_co]):
    """A message to send and how to read its answer.

    `harmless` requests change nothing in the domain, so that repeating one cannot be noticed.
    """

    opcode: Opcode
    fields: Fields
    answer: Callable[[Fields], T_co]
    harmless: bool = False


class Entry(NamedTuple):
    """One entry of a vector, made by `reading`, `writing` or `driving`."""

    value: int
    offset: int
    vcpu: int
    operation: int
    space: int

    @classmethod
    def reading(cls, vcpu: int, space: int, offset: int, size: int = 4, plane: int = Plane.GUEST) -> Entry:
        """As `read`."""
        return cls(0, offset, vcpu, size << 4 | wire_vector.READ, plane << 4 | space)

    @classmethod
    def writing(cls, vcpu: int, space: int, offset: int, value: int, size: int = 4, plane: int = Plane.GUEST) -> Entry:
        """As `write`."""
        return cls(value, offset, vcpu, size << 4 | wire_vector.WRITE, plane << 4 | space)

    @classmethod
    def driving(cls, intid: int, level: int, vcpu: int | None = None, *, pulse: bool = False) -> Entry:
        """As `line`, or as `pulse`."""
        return cls(int(level), intid, _owner(vcpu), wire_vector.LINE, int(pulse))


def read(vcpu: int, space: int, address: int, size: int = 4, plane: int = Plane.GUEST) -> Request[int]:
    """Read `size` bytes (1, 2, 4 or 8) at `address` of `space` as `vcpu`; with the guest's side effects.

    The value is 0 when the guest's access aborts.  Raises `Refused`.
    """
    fields = {"vcpu": vcpu, "size": size, "space": plane << 4 | space, "address": address}
    return Request(Opcode.READ, fields, _value, plane == Plane.DEBUG)


def peek(vcpu: int, space: int, address: int, size: int = 4) -> Request[int]:
    """What `read` would answer now, without its side effects, ever. Raises `Refused`."""
    return read(vcpu, space, address, size, Plane.DEBUG)


def write(vcpu: int, space: int, address: int, value: int, size: int = 4, plane: int = Plane.GUEST) -> Request[None]:
    """Write the low `size` bytes of `value` at `address` of `space` as `vcpu`.

    A value below 0 or of more than 64 bits is a `ValueError` when it is sent.  Raises `Refused`.
    """
    fields = {"vcpu": vcpu, "size": size, "space": plane << 4 | space, "address": address, "value": value}
    return Request(Opcode.WRITE, fields, _nothing)


def line(intid: int, level: int, vcpu: int | None = None) -> Request[None]:
    """Drive the input line of an SPI (`vcpu` None) or of `vcpu`'s PPI to `level`, 0 or 1.

    For an edge interrupt a level of 1 is one trigger.  Raises `Refused`, with OWNED for a device's line.
    """
    return _line(intid, level, vcpu, pulse=False)


def pulse(intid: int, vcpu: int | None = None) -> Request[None]:
    """Raise and lower a line in one operation: one trigger of an edge interrupt. Raises `Refused`."""
    return _line(intid, 1, vcpu, pulse=True)


def vector(entries: Iterable[Entry]) -> Request[list[VectorResult]]:
    """1 to 1024 accesses and line changes, atomically; one result each.

    A request fault in any entry refuses the vector untouched and names the entry; guest faults do not stop it.
    """
    fields = {"entries": [entry._asdict() for entry in entries]}
    return Request(
        Opcode.VECTOR,
        fields,
        lambda body: [VectorResult(r["value"], r["status"] != 0, r["outputs"]) for r in body["results"]],
    )


def enter(vcpu: int) -> Request[EnterState]:
    """Explicit mode: load the list registers of `vcpu` and enter the guest."""
    return Request(Opcode.ENTER, {"vcpu": vcpu}, lambda body: EnterState(**body))


def exit(vcpu: int) -> Request[ExitState]:  # noqa: A001 (the operation's name)
    """Explicit mode: leave the guest and fold the list registers of `vcpu`."""
    return Request(Opcode.EXIT, {"vcpu": vcpu}, lambda body: ExitState(**body))


def mode(explicit: bool) -> Request[None]:
    """Choose who switches worlds: the client (explicit) or the domain. Back only with every vCPU outside."""
    return Request(Opcode.MODE, {"explicit": explicit}, _nothing)


def lr_get(vcpu: int) -> Request[LrState]:
    """The GICH block of `vcpu`."""
    return Request(Opcode.LR_GET, {"vcpu": vcpu}, lambda body: LrState(**body), harmless=True)


def lr_set(vcpu: int, index: int, value: int) -> Request[None]:
    """Explicit mode, `vcpu` inside: write list register `index`."""
    return Request(Opcode.LR_SET, {"vcpu": vcpu, "index": index, "value": value}, _nothing)


def gich(vcpu: int, offset: int, value: int) -> Request[None]:
    """Explicit mode, `vcpu` inside: write the GICH register at `offset`."""
    return Request(Opcode.GICH, {"vcpu": vcpu, "offset": offset, "value": value}, _nothing)


def irq_info(intid: int, vcpu: int | None = None) -> Request[IrqState]:
    """Everything known of one interrupt; `vcpu` owns an SGI or PPI."""
    fields = {"intid": intid, "vcpu": _owner(vcpu)}
    return Request(Opcode.IRQ_INFO, fields, lambda body: IrqState(**body), harmless=True)


def dump(kind: int = 0) -> Request[str]:
    """The state as text for people: 0 Xen's virtual interrupt info, 1 KVM's vgic-state table."""
    return Request(Opcode.DUMP, {"kind": kind}, _value, harmless=True)


def stats() -> Request[dict[str, int]]:
    """Counters by name: operations, accesses, guest faults by kind and register."""
    return Request(Opcode.STATS, NO_FIELDS, _value, harmless=True)


def pending_check(vcpu: int) -> Request[bool]:
    """Has `vcpu` something to be woken for?"""
    return Request(Opcode.PENDING_CHECK, {"vcpu": vcpu, "kind": 0}, _value, harmless=True)


def event_channel_pending(vcpu: int) -> Request[bool]:
    """Is the event channel interrupt of `vcpu` pending?"""
    return Request(Opcode.PENDING_CHECK, {"vcpu": vcpu, "kind": 1}, _value, harmless=True)


def virq_alloc(spi: bool) -> Request[int]:
    """Allocate the lowest free virtual interrupt number, of the SPIs or of the PPIs; -1 if none is free."""
    return Request(Opcode.VIRQ_ALLOC, {"spi": spi}, _value)


def virq_reserve(virq: int) -> Request[bool]:
    """Claim `virq`; True iff it exists and was free."""
    return Request(Opcode.VIRQ_RESERVE, {"virq": virq}, _value)


def virq_free(virq: int) -> Request[None]:
    """Give `virq` back."""
    return Request(Opcode.VIRQ_FREE, {"virq": virq}, _nothing)


def hw_connect(virq: int, pirq: int) -> Request[int]:
    """Tie SPI `virq` to physical interrupt `pirq`; 0 or a negative errno."""
    return Request(Opcode.HW_CONNECT, {"virq": virq, "pirq": pirq}, _value)


def hw_disconnect(virq: int, pirq: int | None = None) -> Request[int]:
    """Untie `virq`, whatever it is tied to when `pirq` is None; 0 or a negative errno."""
    return Request(Opcode.HW_DISCONNECT, {"virq": virq, "pirq": pirq}, _value)


def hw_desc(virq: int) -> Request[int | None]:
    """The physical INTID tied to `virq`, or None."""
    return Request(Opcode.HW_DESC, {"virq": virq}, _value, harmless=True)


def phys_line(pirq: int, level: int) -> Request[None]:
    """Drive the physical line of `pirq` to 0 or 1."""
    return Request(Opcode.PHYS_LINE, {"pirq": pirq, "level": int(level)}, _nothing)


def hw_irq(pirq: int, virq: int) -> Request[None]:
    """Explicit mode: physical `pirq` fires and is taken by the hypervisor for `virq`."""
    return Request(Opcode.HW_IRQ, {"pirq": pirq, "virq": virq}, _nothing)


def vcpu_move(vcpu: int, pcpu: int) -> Request[None]:
    """`vcpu` runs on physical CPU `pcpu` from now on."""
    return Request(Opcode.VCPU_MOVE, {"vcpu": vcpu, "pcpu": pcpu}, _nothing)


def vcpu_power(vcpu: int, on: bool) -> Request[None]:
    """Power `vcpu` on or off, as PSCI does."""
    return Request(Opcode.VCPU_POWER, {"vcpu": vcpu, "on": on}, _nothing)


def set_irq_level(intid: int, level: int, padding: int = 0) -> Request[int]:
    """Xen's set_irq_level hypercall for device models; 0 or a negative errno."""
    return Request(Opcode.SET_IRQ_LEVEL, {"intid": intid, "level": level, "padding": padding}, _value)


def event_channel(vcpu: int, flag: bool) -> Request[None]:
    """Set or clear the upcall-pending flag of `vcpu`."""
    return Request(Opcode.EVENT_CHANNEL, {"vcpu": vcpu, "flag": flag}, _nothing)


def console(data: bytes = b"") -> Request[ConsoleState]:
    """Offer `data` (at most 4096 bytes) to the guest's UART, and take what the guest has written to it."""
    return Request(Opcode.CONSOLE, {"data": data}, lambda body: ConsoleState(**body))


def time(now: int) -> Request[None]:
    """Advance virtual time to `now`, in ticks of the guest's counter; never backwards."""
    return Request(Opcode.TIME, {"now": now}, _nothing)


def snapshot() -> Request[StateImage]:
    """The whole state of the domain."""
    return Request(Opcode.SNAPSHOT, NO_FIELDS, _image, harmless=True)


def restore(image: StateImage) -> Request[None]:
    """Replace the whole state by `image`, of a domain of the same geometry."""
    return Request(Opcode.RESTORE, {"image": image}, _nothing)


def reset(config: Mapping[str, Any] | None = None) -> Request[int]:
    """Build the domain anew; `config` None keeps its configuration, else what it leaves out has its default.

    0, or the negative errno with which the creation was refused: then the old domain is as it was.
    """
    return Request(Opcode.RESET, {"config": None if config is None else dict(config)}, _value)


def ping() -> Request[None]:
    """Answered at once, to show that the daemon lives."""
    return Request(Opcode.PING, NO_FIELDS, _nothing, harmless=True)


def wait_request(outputs: int, milliseconds: int) -> Request[None]:
    """Answered once one of `outputs` is high; refused with TIMEOUT after the deadline. Behind `wait_output`."""
    return Request(Opcode.WAIT, {"outputs": outputs, "milliseconds": milliseconds}, _nothing, harmless=True)


def subscribe_request(mask: int) -> Request[None]:
    """Ask for the events in `mask` (bit 1 << kind). Behind `subscribe`."""
    return Request(Opcode.SUBSCRIBE, {"mask": mask}, _nothing, harmless=True)


def _line(intid: int, level: int, vcpu: int | None, *, pulse: bool) -> Request[None]:
    fields = {"vcpu": _owner(vcpu), "space": int(pulse), "address": intid, "value": int(level)}
    return Request(Opcode.LINE, fields, _nothing)


def _owner(vcpu: int | None) -> int:
    return NO_VCPU if vcpu is None else vcpu


def _value(body: Fields) -> Any:
    return body["value"]


def _nothing(_body: Fields) -> None:
    return None


def _image(body: Fields) -> StateImage:
    image = body["image"]
    if not isinstance(image, StateImage):
        raise TypeError(f"SNAPSHOT answered {type(image).__name__}")
    return image
