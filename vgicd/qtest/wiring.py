"""Wiring: what devices there are, under which QOM paths, and which input of which is which interrupt.

Numbers are those of QEMU's machine `virt`: the GIC's inputs are the SPIs from 0 up, and from 256 up 32 for each CPU,
of which the PPIs are 16 to 31; a CPU's inputs are 0 IRQ and 1 FIQ, its outputs the timers 0 physical, 1 virtual,
2 hypervisor and 3 secure.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

from vgicd.qtest.text import Refused

UNATTACHED: Final = "/machine/unattached"
PPI_INPUTS: Final = 256
"""The first input behind the SPIs, unless there are more of them than machine `virt` has."""

_PRIVATE: Final = 32  # INTIDs of a CPU of its own
TIMERS: Final = {30: 0, 27: 1, 26: 2, 29: 3}
"""The CPU's output that is tied to each of these PPIs."""


class Kind(Enum):
    """Of a device."""

    GIC = "the GIC"
    CPU = "a CPU"


class Device(NamedTuple):
    """A device that commands can name; `vcpu` is a CPU's number."""

    kind: Kind
    vcpu: int
    path: str


class Wiring:
    """The devices of a domain of `vcpus` vCPUs and SPIs up to INTID `last`.

    An empty `gic_path` is where QEMU has it, behind the CPUs; `cpu_paths` likewise, else one for each vCPU.
    """

    def __init__(self, vcpus: int, last: int, gic_path: str = "", cpu_paths: Sequence[str] = ()) -> None:
        gic = gic_path or default_path(vcpus)
        cpus = cpu_paths or [default_path(number) for number in range(vcpus)]
        self.devices = (Device(Kind.GIC, 0, gic), *(Device(Kind.CPU, number, path) for number, path in enumerate(cpus)))
        self._spis = last + 1 - _PRIVATE
        self._private = max(PPI_INPUTS, self._spis)
        self._last_input = self._private + _PRIVATE * vcpus - 1
        self._known: dict[bytes, Device] = {}

    def find(self, path: bytes) -> Device | None:
        """The device at `path`, which may be the end of one, as QEMU resolves it."""
        parts = [part for part in path.decode("utf-8", "replace").split("/") if part]
        if not parts:
            return None
        absolute = path.startswith(b"/")
        for device in self.devices:
            own = device.path.split("/")[1:]
            if own == parts if absolute else own[-len(parts) :] == parts:
                return device
        return None

    def line(self, index: int) -> tuple[int, int | None]:
        """The INTID at input `index` of the GIC, and whose it is (None: nobody's, an SPI). Refused if it has none."""
        if 0 <= index < self._spis:
            return _PRIVATE + index, None
        if self._private <= index <= self._last_input:
            vcpu, intid = divmod(index - self._private, _PRIVATE)
            return intid, vcpu
        spis = f"0 to {self._spis - 1} for SPIs, " if self._spis else ""
        raise Refused(f"The GIC has no input {index}: they are {spis}{self._private} to {self._last_input} for PPIs.")

    def input_of(self, intid: int, vcpu: int) -> int:
        """The GIC's input that is `intid`, a PPI of `vcpu` or an SPI."""
        return intid - _PRIVATE if intid >= _PRIVATE else self._private + _PRIVATE * vcpu + intid


def default_path(number: int) -> str:
    """The path of QEMU's device `number`, of which the CPUs are the first."""
    return f"{UNATTACHED}/device[{number}]"


def check_path(path: str) -> str:
    """Why `path` cannot be a device's, or nothing."""
    if not path.startswith("/") or path.endswith("/") or "//" in path:
        return f"{path!r} is not a QOM path such as {default_path(1)}"
    if any(not " " < character < "\x7f" for character in path):
        return f"{path!r} has a character that no command line can carry"
    return ""
