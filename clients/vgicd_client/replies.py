"""Answers: the records in which the daemon's replies arrive.

Their field names are those of the message bodies (a test compares them), their numbers plain ints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from vgicd_protocol.effects import Effect, EffectKind
from vgicd_protocol.events import Event, EventKind

T_co = TypeVar("T_co", covariant=True)

__all__ = [
    "ConsoleState",
    "Effect",
    "EffectKind",
    "EnterState",
    "Event",
    "EventKind",
    "ExitState",
    "IrqState",
    "LrState",
    "Reply",
    "VectorResult",
]


@dataclass(frozen=True, slots=True)
class Reply(Generic[T_co]):
    """An applied operation.

    `fault`: the guest's access aborted; `value` is 0 then.  `order` is the operation's number in the domain's total
    order, the last one's for an operation that changes nothing.  `outputs` are the levels after it: bit 2v the vIRQ
    and bit 2v+1 the vFIQ of vCPU v.  `effects` are there when the request asked for them.
    """

    value: T_co
    fault: bool
    order: int
    outputs: int
    effects: tuple[Effect, ...] = ()


class EnterState(NamedTuple):
    """The hardware after loading; `used` list registers were filled."""

    hcr: int
    misr: int
    used: int
    lrs: tuple[int, ...]


class ExitState(NamedTuple):
    """The hardware as found before folding, and `hcr` after it. Bit n of `eisr` and `elrsr` is list register n."""

    eisr: int
    elrsr: int
    misr: int
    apr: int
    hcr: int
    lrs: tuple[int, ...]


class LrState(NamedTuple):
    """A vCPU's GICH block. Bit n of `eisr` and `elrsr` is list register n."""

    eisr: int
    elrsr: int
    inside: bool
    used: int
    hcr: int
    vtr: int
    vmcr: int
    misr: int
    apr: int
    lrs: tuple[int, ...]


class IrqState(NamedTuple):
    """One interrupt as the guest would find it now; `target`, `listed`, `position` and `lr` are -1 for none."""

    intid: int
    vcpu: int
    enabled: bool
    is_level: bool
    line_level: bool
    pending_latch: bool
    pending: bool
    active: bool
    group: int
    priority: int
    targets: int
    source: int
    active_source: int
    hw: bool
    target: int
    listed: int
    position: int
    lr: int
    hwintid: int
    lr_value: int


class ConsoleState(NamedTuple):
    """`accepted` bytes of the offer fitted the receiver; `data` is what the guest wrote since the last call."""

    accepted: int
    data: bytes


class VectorResult(NamedTuple):
    """The answer to one entry of a vector; `outputs` are the levels right after it."""

    value: int
    fault: bool
    outputs: int
