"""Breakpoints and watchpoints: which events stop a debugger, and where.

A breakpoint is an address of fake code, which an event of the domain reaches.  A watchpoint is a range of register
addresses, which a guest's access touches, whoever's; accesses of the DEBUG plane are none.  A watch for writes counts
only what it finds changed since the vCPUs went on, or since its last hit where others ran on, because gdb would
silently go on by itself for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from vgicd.domain.events import Event, EventKind
from vgicd.gdbstub import lifecycle
from vgicd.gdbstub.layout import AddressSpace, Place, Window
from vgicd.gdbstub.lifecycle import INTO_FRAME, SLOT, STEP
from vgicd.gdbstub.target import Refused

_COMPARED: Final = 64
"""Bytes of a watched range up to which it is compared; a write to a larger one is always reported."""
_MOST_WATCHES: Final = 256
"""Each is compared with every access."""

HARDWARE: Final = 1
WRITE: Final = 2
READ: Final = 3
ACCESS: Final = 4
_REASONS: Final = {WRITE: "watch", READ: "rwatch", ACCESS: "awatch"}

_ENDS_FRAME: Final = (EventKind.EOI, EventKind.DEACTIVATE)
_SPACE_SHIFT: Final = 28  # of an ACCESS event's address
_WRITE_SHIFT: Final = 8  # of its intid

Peek = Callable[[int, int, int], bytes | None]
"""(vCPU, address, length) to the bytes there; None where they cannot be read."""
Innermost = Callable[[int], int | None]
"""vCPU to the INTID of its innermost active interrupt, if it has one."""


class Hit(NamedTuple):
    """What is set at `address` was reached; `reason` is "" for a breakpoint, else the stop reply's word."""

    address: int
    vcpu: int
    reason: str = ""
    watched: int = 0  # start of the range, for a watchpoint


class Watch(NamedTuple):
    """A watched range of one window."""

    kind: int
    address: int
    length: int
    window: Window
    before: dict[int, bytes | None]  # by vCPU: what the range held when the vCPUs went on, or at the last hit

    def touches(self, event: Event) -> bool:
        """Is the ACCESS `event` one of the range, of the kind and of the vCPU?"""
        window = self.window
        writes = bool(event.intid >> _WRITE_SHIFT & 1)
        if self.kind == (READ if writes else WRITE):
            return False
        if window.vcpu is not None and window.vcpu != event.vcpu:
            return False
        space, offset = event.address >> _SPACE_SHIFT, event.address & (1 << _SPACE_SHIFT) - 1
        first = self.address - window.base + window.start
        size = event.intid & 0xFF
        return space == window.space and offset < first + self.length and first < offset + size

    def counts(self, vcpu: int, peek: Peek) -> bool:
        """Has the access by `vcpu` changed what the range held, if that matters? From now on the present counts."""
        before = self.before.get(vcpu)
        if before is not None and peek(vcpu, self.address, self.length) == before:
            return False
        for viewer in self.before:
            self.before[viewer] = peek(viewer, self.address, self.length)
        return True

    def place_of(self, event: Event) -> int:
        """The address of the access, in the window and within the range."""
        offset = event.address & (1 << _SPACE_SHIFT) - 1
        return max(self.address, self.window.base + offset - self.window.start)


class _Armed(NamedTuple):
    """A breakpoint and what reaches it: `place`, or where `returns` the end of what interrupted it (None: idle)."""

    address: int
    place: Place | None
    returns: bool


class Breakpoints:
    """What one debugger has set.

    A reset may lay the domain out anew: what has no place any longer is then never reached.
    """

    def __init__(self) -> None:
        self._code: dict[int, set[int]] = {}  # address: the Z types set there
        self._watches: dict[tuple[int, int, int], Watch] = {}
        self._armed: dict[int, list[_Armed]] | None = None
        self._layout: AddressSpace | None = None

    def insert(self, kind: int, address: int, length: int, layout: AddressSpace) -> None:
        """Set what Z`kind` asks for; again is no error. Refused where nothing could ever reach it."""
        if kind < WRITE:
            text, size = layout.code
            if layout.place_at(address) is None and not text <= address < text + size:
                raise Refused(
                    f"{address:#x} is no code: break on an interrupt's life, such as irq42_ack; "
                    "for a register use watch, rwatch or awatch."
                )
            self._code.setdefault(address, set()).add(kind)
            self._armed = None
            return
        self._follow(layout)
        window = _window_of(address, length, layout)
        if window is None:
            raise Refused(f"{length} bytes at {address:#x} are not within one register frame: `info mem` lists them.")
        key = (kind, address, length)
        if key not in self._watches and len(self._watches) >= _MOST_WATCHES:
            raise Refused(f"There are {_MOST_WATCHES} watchpoints, which is the limit: watch whole blocks instead.")
        self._watches.setdefault(key, Watch(kind, address, length, window, {}))

    def remove(self, kind: int, address: int, length: int) -> None:
        """Undo `insert`; what is not set is no error."""
        if kind >= WRITE:
            self._watches.pop((kind, address, length), None)
        elif address in self._code:
            self._code[address].discard(kind)
            if not self._code[address]:
                del self._code[address]
                self._armed = None

    def clear(self) -> None:
        """Remove everything."""
        self._code.clear()
        self._watches.clear()
        self._armed = None

    def is_set(self, hit: Hit) -> bool:
        """Is what `hit` reached still set?"""
        if not hit.reason:
            return hit.address in self._code
        return any(watch.address == hit.watched for watch in self._watches.values())

    def kind_of(self, hit: Hit) -> str:
        """The stop reply's word for the breakpoint that `hit` reached."""
        return "hwbreak" if self._code.get(hit.address) == {HARDWARE} else "swbreak"

    def mask(self, layout: AddressSpace) -> int:
        """The kinds of events to be told of: bit k for kind k."""
        self._follow(layout)
        mask = 1 << EventKind.ACCESS if self._watches else 0
        for kind in self._by_kind(layout):
            mask |= 1 << kind
        return mask

    def _follow(self, layout: AddressSpace) -> None:
        """Find anew what `layout` has placed elsewhere."""
        if layout is self._layout:
            return
        self._layout, self._armed = layout, None
        for key, watch in list(self._watches.items()):
            window = _window_of(watch.address, watch.length, layout)
            if window is None:
                del self._watches[key]
            else:
                self._watches[key] = watch._replace(window=window, before={})

    def _by_kind(self, layout: AddressSpace) -> dict[int, list[_Armed]]:
        """The breakpoints that an event of each kind can reach; made anew when what is set has changed."""
        if self._armed is None:
            self._armed = {}
            for address in self._code:
                place, returns = layout.place_at(address), is_return(address, layout)
                if returns:
                    kinds: tuple[EventKind, ...] = _ENDS_FRAME
                elif place is not None:
                    kinds = (place.edge.kind,)
                else:
                    continue  # idle, where nothing arrives but by a return
                for kind in kinds:
                    self._armed.setdefault(kind, []).append(_Armed(address, place, returns))
        return self._armed

    def remember(self, layout: AddressSpace, peek: Peek) -> None:
        """The vCPUs go on: from now on a write counts if it changes what a watched range holds at this moment."""
        self._follow(layout)
        for watch in self._watches.values():
            watch.before.clear()
            if watch.kind == WRITE and watch.length <= _COMPARED:
                for vcpu in range(layout.vcpus) if watch.window.vcpu is None else (watch.window.vcpu,):
                    watch.before[vcpu] = peek(vcpu, watch.address, watch.length)

    def hits(self, event: Event, layout: AddressSpace, peek: Peek, innermost: Innermost) -> Iterator[Hit]:
        """What `event` reaches of all that is set, one hit for an access whatever watches it."""
        self._follow(layout)
        vcpu = event.vcpu if event.vcpu < layout.vcpus else 0
        if event.kind == EventKind.ACCESS:
            yield from self._watch_hits(event, vcpu, peek)
            return
        for armed in self._by_kind(layout).get(event.kind, ()):
            if is_at(armed.address, layout, innermost(vcpu)) if armed.returns else _reaches(event, armed.place):
                yield Hit(armed.address, vcpu)

    def _watch_hits(self, event: Event, vcpu: int, peek: Peek) -> Iterator[Hit]:
        touched = (watch for watch in self._watches.values() if watch.touches(event))
        hits = [watch for watch in touched if watch.counts(vcpu, peek)]
        for watch in hits[:1]:
            yield Hit(watch.place_of(event), vcpu, _REASONS[watch.kind], watch.address)


def _window_of(address: int, length: int, layout: AddressSpace) -> Window | None:
    """The window that holds the whole range, if one does."""
    window = layout.find(address)
    return window if window is not None and 0 < length <= window.base + window.size - address else None


def _reaches(event: Event, place: Place | None) -> bool:
    if place is None or place.intid not in (None, event.intid):
        return False
    return lifecycle.reaches(event, place.edge)


def is_return(address: int, layout: AddressSpace) -> bool:
    """Is it where irqN, or idle, goes on when what it was interrupted by has ended? `finish` waits there."""
    if address == layout.idle + INTO_FRAME:
        return True
    place, offset = layout.place_at(address), (address - layout.irq_base) % SLOT
    return place is not None and place.intid is not None and INTO_FRAME <= offset < STEP


def is_at(address: int, layout: AddressSpace, innermost: int | None) -> bool:
    """Is a vCPU that stopped at `address` there still? What was done meanwhile may have changed what is active."""
    if not is_return(address, layout):
        return True
    place = layout.place_at(address)
    return innermost == (None if place is None else place.intid)
