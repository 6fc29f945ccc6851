"""Run a generator's steps on both systems and compare every answer."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Protocol

from tests.differential.divergence import Action, Divergence, Situation, acknowledges
from tests.differential.divergences import TABLE
from tests.differential.steps import Answer, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.differential.state import State
    from tests.differential.steps import Step

HISTORY: Final = 20
FIRST_SPECIAL: Final = 1020
NO_ANSWER: Final = Answer(0, 0)


class Ours(Protocol):
    """vgicd."""

    def perform(self, step: Step) -> Answer: ...

    def capture(self) -> State: ...


class Theirs(Protocol):
    """QEMU. `batch` is the number of steps that are worth sending at once.

    `plan` says what QEMU is to do for a step, given vgicd's state before it (most often just the step); `perform`
    answers each plan with the value of its first part and the outputs after its last.
    """

    batch: int

    def plan(self, situation: Situation) -> Sequence[Step]: ...

    def perform(self, plans: Sequence[Sequence[Step]]) -> list[Answer]: ...


class Generator(Protocol):
    """What to do next, knowing the answers so far.

    It is told of each step whether it was performed by both (`observe`) or not (`excluded`).
    """

    def next(self) -> Step: ...

    def observe(self, step: Step, answer: Answer) -> None: ...

    def excluded(self, step: Step) -> None: ...


class Mismatch(AssertionError):
    """The systems answered differently, and no entry of the table allows it."""


def _what(step: Step, answer: Answer) -> str:
    if acknowledges(step) and answer.value & 0x3FF < FIRST_SPECIAL:
        return "acknowledged"
    return "line" if step.kind is Kind.LINE else f"{step.kind.value} {step.frame}"


@dataclass
class Performed:
    """A step that vgicd has answered and, with a `plan`, QEMU is yet to; `note` says why QEMU has none."""

    step: Step
    answer: Answer
    situation: Situation
    plan: Sequence[Step] = ()
    note: str = ""


class Comparison:
    """One run.

    `performed` counts compared steps, `seen` them by what they did ("acknowledged" is a read of IAR or AIAR that
    answered an interrupt), and `applied` the uses of each entry of the table by its name.
    """

    def __init__(
        self, case: str, seed: int, ours: Ours, theirs: Theirs, generator: Generator, *, options: str = ""
    ) -> None:
        self.case = case
        self.options = options  # of the command that repeats the run
        self.seed = seed
        self.ours = ours
        self.theirs = theirs
        self.generator = generator
        self.performed = 0
        self.applied: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self._history: deque[str] = deque(maxlen=HISTORY)
        self._outputs = 0

    @cached_property
    def _entries(self) -> tuple[Divergence, ...]:
        return tuple(entry for entry in TABLE if self.case in entry.cases)

    def run(self, count: int) -> None:
        """Compare `count` steps.

        Raises Mismatch with the seed, the step's number, the steps before it and both answers.
        """
        while self.performed < count:
            size = min(self.theirs.batch, count - self.performed)
            items = [self._perform(self.generator.next()) for _ in range(size)]
            answers = iter(self.theirs.perform([item.plan for item in items if not item.note]))
            for item in items:
                if item.note:
                    self._history.append(f"       {item.step} [{item.note}]")
                else:
                    self._compare(item, next(answers))

    def _perform(self, step: Step) -> Performed:
        """Let vgicd answer, if it is to perform the step."""
        before = Situation(step, self.ours.capture)
        entry = next((item for item in self._entries if item.prevents(before)), None)
        if entry is not None:
            self.applied[entry.name] += 1
            self.generator.excluded(step)
            answer = self._perform_alone(entry, step) if entry.action is Action.ALONE else NO_ANSWER
            return Performed(step, answer, before, note=f"{entry.name}: {entry.action.name}")
        plan = self.theirs.plan(before)
        answer = self.ours.perform(step)
        self.generator.observe(step, answer)
        self._outputs = answer.outputs
        situation = Situation(step, self.ours.capture)
        if self.theirs.batch > 1:
            situation.state  # noqa: B018  the next step changes it
        return Performed(step, answer, situation, plan)

    def _perform_alone(self, entry: Divergence, step: Step) -> Answer:
        """A step that has no effect in vgicd: QEMU, where it would have one, is left out."""
        answer = self.ours.perform(step)
        if answer.value or answer.outputs != self._outputs:
            raise Mismatch(self._report(step, "vgicd", answer, f"no effect, as {entry.name} has it"))
        return answer

    def _compare(self, item: Performed, theirs: Answer) -> None:
        step, ours, situation = item.step, item.answer, item.situation
        self._history.append(f"{self.performed:6} {step} -> {ours}")
        situation.ours, situation.theirs = ours, theirs
        value = ours.value ^ theirs.value
        outputs = ours.outputs ^ theirs.outputs
        if value or outputs:
            for entry in self._entries:
                ignored_value, ignored_outputs = entry.ignores(situation)
                if value & ignored_value or outputs & ignored_outputs:
                    self.applied[entry.name] += 1
                value &= ~ignored_value
                outputs &= ~ignored_outputs
        if value or outputs or ours[2:] != theirs[2:]:
            raise Mismatch(self._report(step, "QEMU", theirs, f"vgicd: {ours}"))
        self.performed += 1
        self.seen[_what(step, ours)] += 1

    def _report(self, step: Step, who: str, answer: Answer, other: str) -> str:
        return "\n".join(
            (
                f"case {self.case}, seed {self.seed}, operation {self.performed}: {step}",
                *self._history,
                f"  {who}: {answer}",
                f"  {other}",
                f"  python -m tests.differential --case {self.case} --seed {self.seed}{self.options}",
            )
        )
