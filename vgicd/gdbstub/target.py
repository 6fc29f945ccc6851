"""Target: the domain as one debugger may use it.

Looking never has a side effect.  What changes state is an operation like any other client's, within the debugger's
role, seen by all watchers; what is refused raises `Refused`, and nothing has changed.  How watchers are told, and how
others are held, is the server's: it derives from `Target`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from vgicd.domain import operations as op
from vgicd.domain.domain import Domain
from vgicd.domain.errors import Code, RequestError
from vgicd.domain.events import Event
from vgicd.gdbstub import lifecycle
from vgicd.gdbstub.arch import Arch
from vgicd.gdbstub.layout import AddressSpace
from vgicd.hw.gicv import FIRST_SPECIAL, read_hppir
from vgicd.vgic.vcpu import Vcpu
from vgicd_protocol import messages
from vgicd_protocol.frames import Opcode, Role

REST: Final = 1 << 16
"""In a mask of what is held: every operation that changes state and is no vCPU's own access."""
EVERYTHING: Final = REST | 0xFF
"""Mask of all vCPUs' accesses and the rest: the guest does not run."""

_OPCODES: Final[Mapping[type, Opcode]] = {
    op.Line: Opcode.LINE,
    op.Enter: Opcode.ENTER,
    op.Exit: Opcode.EXIT,
    op.Mode: Opcode.MODE,
    op.LrSet: Opcode.LR_SET,
    op.Gich: Opcode.GICH,
    op.Time: Opcode.TIME,
    op.Reset: Opcode.RESET,
    op.VcpuPower: Opcode.VCPU_POWER,
}


_TO_EXPLICIT: Final = " List registers can be written in explicit mode: `monitor mode explicit`, then `monitor enter`."
_VCPU: Final = re.compile(r"\bvCPU (\d+)\b")
_COMMANDS: Final = {
    "ENTER it first": "`monitor enter {0}` first",
    "EXIT it": "`monitor exit {0}`",
    "EXIT all": "`monitor exit` every vCPU that is",
    "power it on": "`monitor power {0} on` first",
    "is powered off": "is powered off: `monitor power {0} on` first",
}
"""Words of the domain's own sentences, and the command that does it for the vCPU which they name."""


class Refused(Exception):
    """What the debugger asked for was not done; nothing has changed. `text` is a sentence that says what to do."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class ClientInfo(NamedTuple):
    """A connection, as `info os clients` shows it. `state` is "running", "held" or, of a debugger, what it does."""

    number: str  # "7", or "gdb#1"
    peer: str
    role: str
    transport: str
    requests: int
    waits: int
    state: str


class Watcher(Protocol):
    """Who is told of events, synchronously, before anything else happens."""

    mask: int  # bit k: events of kind k

    def see(self, events: Sequence[Event], source: object) -> None:
        """The operation that `source` just had applied caused `events`."""


class Target(ABC):
    """One debugger's way to the domain.

    `who` is its name ("gdb#1"), `name` the domain's, `role` what it may do, `names` the aliases of INTIDs.
    """

    def __init__(
        self, domain: Domain, arch: Arch, role: Role, who: str, name: str, version: str, names: Mapping[int, str]
    ) -> None:
        self.domain = domain
        self.arch = arch
        self.role = role
        self.who = who
        self.name = name
        self.version = version
        self._given_names = names
        self._laid_out_for: Any = None
        self._layout: AddressSpace | None = None

    # --- the shape of the domain ----------------------------------------------------------------------------------

    @property
    def layout(self) -> AddressSpace:
        """The address space, for the domain's present configuration."""
        if self._layout is None or self._laid_out_for is not self.domain.config:
            vgic = self.domain.vgic
            self._layout = AddressSpace(self.arch, self.domain.frames(), len(vgic.vcpus), vgic.nr_irqs)
            self._laid_out_for = self.domain.config
        return self._layout

    @property
    def names(self) -> dict[int, str]:
        """The aliases of INTIDs."""
        return lifecycle.names_for(self.domain.config.profile, self._given_names)

    @property
    def vcpus(self) -> int:
        """How many vCPUs the domain has."""
        return len(self.domain.vgic.vcpus)

    def vcpu(self, number: int) -> Vcpu:
        """vCPU `number`; Refused if there is none."""
        if not 0 <= number < self.vcpus:
            raise Refused(f"vCPU {number} does not exist: the domain has {self.vcpus}, from 0.")
        return self.domain.vgic.vcpus[number]

    # --- looking --------------------------------------------------------------------------------------------------

    def peek(self, vcpu: int, space: int, offset: int, size: int) -> int:
        """What a read of `size` bytes at `offset` of `space` would answer `vcpu` now; no side effect, ever."""
        read = op.Read(vcpu, space, offset, size, op.Plane.DEBUG)
        try:
            result = self.domain.apply(read)
        except RequestError as error:
            raise Refused(error.text) from None
        if result.fault:
            raise Refused(f"A guest's read of {size} bytes at offset {offset:#x} would abort.")
        return int(result.value)

    def ask(self, query: Any) -> Any:
        """The answer to a query that changes nothing (`IrqInfo`, `LrGet`, `Dump`, `Stats`)."""
        try:
            return self.domain.apply(query).value
        except RequestError as error:
            raise Refused(error.text) from None

    def outputs_of(self, vcpu: int) -> int:
        """Bit 0 is the vIRQ and bit 1 the vFIQ level of `vcpu`."""
        return self.domain.outputs >> 2 * vcpu & 3

    def line_of(self, vcpu: int) -> str:
        """One line of live state: `irq=HIGH lr=1/4 hppi=27`."""
        unit = self.vcpu(vcpu)
        outputs = self.outputs_of(vcpu)
        words = [f"irq={'HIGH' if outputs & 1 else 'low'}"]
        if outputs & 2:
            words.append("fiq=HIGH")
        gich = unit.gich
        used = gich.nr_lrs - gich.elrsr().bit_count()
        words.append(f"lr={used}/{gich.nr_lrs}")
        candidate = read_hppir(gich)
        words.append(f"hppi={'none' if candidate >= FIRST_SPECIAL else candidate & 0x3FF}")
        if not unit.powered:
            words.append("off")
        elif not unit.inside:
            words.append("outside")
        return " ".join(words)

    # --- acting ---------------------------------------------------------------------------------------------------

    def apply(self, operation: Any) -> op.Result:
        """Carry out `operation` as this debugger; Refused, with nothing changed, or after a guest's abort."""
        self._check_role(operation)
        try:
            result = self.domain.apply(operation)
        except RequestError as error:
            advice = _TO_EXPLICIT if not self.domain.explicit and _is_gich(error, operation) else ""
            raise Refused(f"{_sentence(error.text)}{advice}") from None
        self.spread(result.outputs)
        if result.fault:
            raise Refused("The guest would take an abort for this access.")
        return result

    def _check_role(self, operation: Any) -> None:
        if isinstance(operation, op.Read):
            needed = messages.access_role(Opcode.READ, operation.space | operation.plane << 4)
        elif isinstance(operation, op.Write):
            needed = messages.access_role(Opcode.WRITE, operation.space | operation.plane << 4)
        else:
            needed = messages.message_of(_OPCODES[type(operation)]).role
        if needed > self.role:
            raise Refused(
                f"This needs role {Role(needed).name.lower()}, and your debugger has {self.role.name.lower()}: "
                "ask for an [access] rule in the daemon's configuration."
            )

    # --- the server's part ----------------------------------------------------------------------------------------

    @abstractmethod
    def spread(self, outputs: int) -> None:
        """Tell watchers, subscribers and waits what the operation just applied has caused."""

    @abstractmethod
    def publish(self) -> None:
        """Send others what has been caused for them; at the end of a turn."""

    @abstractmethod
    def watch(self, watcher: Watcher) -> None:
        """Tell `watcher` of events from now on, by its mask; again whenever the mask has changed (0: no more)."""

    @abstractmethod
    def hold(self, mask: int) -> None:
        """Hold what `mask` says, instead of what was held for this debugger before; 0 releases."""

    @abstractmethod
    def holders(self) -> Sequence[str]:
        """Who holds anything at present."""

    @abstractmethod
    def clients(self) -> Sequence[ClientInfo]:
        """Everybody connected, debuggers included."""


def _sentence(text: str) -> str:
    """`text` as a sentence, with monitor commands for what the protocol's operations are called."""
    named = _VCPU.search(text)
    vcpu = named[1] if named is not None else ""
    for words, instead in _COMMANDS.items():
        text = text.replace(words, instead.format(vcpu))
    return f"{text if text.startswith('vCPU') else text[:1].upper() + text[1:]}."


def _is_gich(error: RequestError, operation: Any) -> bool:
    """Was it refused because of where the vCPU is?"""
    return error.code is Code.BAD_STATE and isinstance(operation, op.Gich | op.LrSet)
