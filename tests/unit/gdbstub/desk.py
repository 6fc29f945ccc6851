"""A debugger without gdb: what monitor commands see of a session."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from tests.unit.gdbstub.local import LocalTarget, bring_up
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.gdbstub.monitor import Monitor
from vgicd.gdbstub.target import Refused, Target
from vgicd_protocol.frames import Role

NAMES: Final[Mapping[int, str]] = MappingProxyType({33: "uart0"})


class Desk:
    """A session that stands still, with `target` and a selected `vcpu`; `monitor` runs commands in it."""

    def __init__(
        self, *, role: Role = Role.CONTROL, ready: bool = True, names: Mapping[int, str] = NAMES, **config: Any
    ) -> None:
        self.domain = Domain(DomainConfig(**{"vcpus": 2, "spis": 64, **config}))
        if ready:
            bring_up(self.domain)
        self._target = LocalTarget(self.domain, role=role, names=names)
        self.selected = 0
        self.refusal = ""
        self.mask = 0
        self.mode = "auto"
        self.refused = ""
        self.holder = ""  # of the guest, several with blanks between
        self.streams = True
        self.monitor = Monitor(self)

    @property
    def target(self) -> Target:
        return self._target

    @property
    def applied(self) -> list[Any]:
        """The operations that were asked for."""
        return self._target.applied

    @property
    def vcpu(self) -> int:
        return self.selected

    @property
    def trace(self) -> int:
        return self.mask

    @property
    def freeze_mode(self) -> str:
        return self.mode

    @property
    def non_stop(self) -> bool:
        return not self.streams

    def set_trace(self, kinds: int) -> None:
        self.mask = kinds

    def set_freeze(self, mode: str) -> str:
        if mode == "on" and self.holder:
            raise Refused("The guest is frozen already.")
        self.mode = mode
        return f"freeze is {mode} now"

    def held(self) -> list[str]:
        return self.holder.split()

    def run_state(self) -> str:
        return "all-stop: vcpu0 stopped, vcpu1 stopped"

    def run(self, line: str) -> str:
        """What `monitor LINE` answers, without its last newline."""
        answer = self.monitor.run(line)
        assert answer.endswith("\n")
        return answer[:-1]
