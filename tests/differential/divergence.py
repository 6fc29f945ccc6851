"""What an allowed difference is made of: the condition, the action, and the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING

from tests.differential.steps import Kind, Step

if TYPE_CHECKING:
    from tests.differential.state import Interface, State
    from tests.differential.steps import Answer


class Action(Enum):
    """What becomes of a step to which an entry applies."""

    MASK = "both perform it; the named bits are not compared"
    SKIP = "neither performs it: from here on their states would differ"
    ALONE = "vgicd performs it, where it must have no effect; QEMU does not, where it would have one"
    DRIVE = "QEMU performs what stands for it; everything is compared"


class Situation:
    """A step, vgicd's state around it (before it until it is performed, after it from then on), and the answers."""

    ours: Answer
    theirs: Answer

    def __init__(self, step: Step, capture: Callable[[], State]) -> None:
        self.step = step
        self._capture = capture

    @cached_property
    def state(self) -> State:
        return self._capture()

    @property
    def interface(self) -> Interface:
        """That of the CPU that accesses."""
        return self.state.cpus[self.step.cpu]


def never(_: Situation) -> bool:
    return False


def nothing(_: Situation) -> int:
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """One entry. `when` is the condition for SKIP and ALONE; `value` and `outputs` are bits that are not compared."""

    name: str
    register: str
    cases: str
    action: Action
    clause: str
    right: str
    why: str
    when: Callable[[Situation], bool] = never
    value: Callable[[Situation], int] = nothing
    outputs: Callable[[Situation], int] = nothing

    def prevents(self, situation: Situation) -> bool:
        """Is QEMU not to perform the step?"""
        return self.when(situation)

    def ignores(self, situation: Situation) -> tuple[int, int]:
        """The bits of the value and of the outputs that are not compared."""
        return self.value(situation), self.outputs(situation)


def acknowledges(step: Step) -> bool:
    return step.kind is Kind.READ and (step.is_at("GICC", 0x0C) or step.is_at("GICC", 0x20))


def reads_highest(step: Step) -> bool:
    return step.kind is Kind.READ and (step.is_at("GICC", 0x18) or step.is_at("GICC", 0x28))


def writes(step: Step, frame: str, first: int, last: int | None = None) -> bool:
    return step.kind is Kind.WRITE and step.is_at(frame, first, last)


def ends(step: Step) -> bool:
    return writes(step, "GICC", 0x10) or writes(step, "GICC", 0x24)
