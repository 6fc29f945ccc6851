"""The virtual and the emulated physical timer of each vCPU: PPIs 27 and 30 (spec 6.4).

Driven by virtual time.  ISTATUS is computed, never stored: ENABLE and time at or past CVAL.  On expiry Xen masks the
hardware's virtual timer itself, hence IMASK does not count for its line; time passing CVAL sets it, as that expiry
does, and a CVAL written into the past leaves it, as the guest finds its timer expired at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vgicd.registers import Field, Frame, Layout, block

if TYPE_CHECKING:
    from vgicd.vgic.vgic import Vgic

VIRTUAL: Final = 27
PHYSICAL: Final = 30
SECURE: Final = 29  # reserved, never driven
ENABLE, IMASK, ISTATUS = 1, 2, 4

CTL: Final = Layout(
    "CNT_CTL",
    32,
    Field("ISTATUS", 2, doc="the timer condition is met", access="RO"),
    Field("IMASK", 1),
    Field("ENABLE", 0),
)


class Timer:
    """One comparator against virtual time."""

    __slots__ = ("ctl", "cval")

    def __init__(self) -> None:
        self.ctl = 0  # ENABLE and IMASK
        self.cval = 0

    def istatus(self, now: int) -> bool:
        return bool(self.ctl & ENABLE) and now >= self.cval


class Vtimer:
    """The timers of all vCPUs, indexed by PPI."""

    STATE: Final = {"ctl": ENABLE | IMASK, "cval": (1 << 64) - 1}  # with each field's greatest value

    def __init__(self, vcpus: int) -> None:
        self.now = 0
        self.timers = {intid: [Timer() for _ in range(vcpus)] for intid in (VIRTUAL, PHYSICAL)}

    def level_at_exit(self, vcpu_id: int, intid: int) -> bool:
        timer = self.timers[intid][vcpu_id]
        if intid == PHYSICAL and timer.ctl & IMASK:
            return False
        return timer.istatus(self.now)

    def update(self, vgic: Vgic, vcpu_id: int) -> None:
        """Drive both lines of a vCPU to where an exit brings them."""
        for intid in (VIRTUAL, PHYSICAL):
            vgic.inject(vgic.vcpus[vcpu_id], intid, self.level_at_exit(vcpu_id, intid), owner=self)

    def advance(self, vgic: Vgic, now: int) -> None:
        """Virtual time reaches `now`: whatever expires raises its line, unless it is masked."""
        before, self.now = self.now, now
        for intid, timers in self.timers.items():
            for vcpu, timer in zip(vgic.vcpus, timers, strict=True):
                if timer.istatus(now) and not timer.istatus(before) and not timer.ctl & IMASK:
                    if intid == VIRTUAL:
                        timer.ctl |= IMASK
                    vgic.inject(vcpu, intid, True, owner=self)

    def save(self) -> dict[str, tuple[int, ...]]:
        return {
            f"vtimer{intid}.{name}": tuple(getattr(timer, name) for timer in timers)
            for intid, timers in self.timers.items()
            for name in self.STATE
        }

    def load(self, words: dict[str, tuple[int, ...]]) -> None:
        for intid, timers in self.timers.items():
            for name, limit in self.STATE.items():
                for timer, word in zip(timers, words[f"vtimer{intid}.{name}"], strict=True):
                    if word > limit:
                        raise ValueError(f"vtimer{intid}.{name} is {word:#x}, above {limit:#x}")
                    setattr(timer, name, word)


def _timer(device: Vtimer, vcpu_id: int, offset: int) -> Timer:
    return device.timers[PHYSICAL if offset & 0x10 else VIRTUAL][vcpu_id]


def _read_ctl(device: Vtimer, vcpu_id: int, offset: int) -> int:
    timer = _timer(device, vcpu_id, offset)
    return timer.ctl | (ISTATUS if timer.istatus(device.now) else 0)


def _write_ctl(device: Vtimer, vcpu_id: int, offset: int, value: int) -> None:
    _timer(device, vcpu_id, offset).ctl = value & (ENABLE | IMASK)


def _read_cval(device: Vtimer, vcpu_id: int, offset: int) -> int:
    return _timer(device, vcpu_id, offset).cval


def _write_cval(device: Vtimer, vcpu_id: int, offset: int, value: int) -> None:
    _timer(device, vcpu_id, offset).cval = value


VTIMER: Final = Frame(
    "VTIMER",
    0x20,
    (
        block("CNTV_CTL", 0x00, 4 | 8, _read_ctl, _write_ctl, fields=CTL, writable=3, doc="Virtual timer control"),
        block("CNTV_CVAL", 0x08, 8, _read_cval, _write_cval, length=8, writable=(1 << 64) - 1,
              doc="Virtual timer compare value"),
        block("CNTP_CTL", 0x10, 4 | 8, _read_ctl, _write_ctl, fields=CTL, writable=3, doc="Physical timer control"),
        block("CNTP_CVAL", 0x18, 8, _read_cval, _write_cval, length=8, writable=(1 << 64) - 1,
              doc="Physical timer compare value"),
    ),
)  # fmt: skip
