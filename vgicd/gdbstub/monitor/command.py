"""What a monitor command is, what it may use of the debugger, and how words become its arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Final, NamedTuple, Protocol

from vgicd.gdbstub.target import Refused, Target
from vgicd.gdbstub.text import listed
from vgicd.hw.gicv import FIRST_SPECIAL
from vgicd.vgic.irq import NR_PRIVATE

_IRQ: Final = re.compile(r"(?:irq)?(0x[0-9a-f]{1,8}|\d{1,9})(?:_\w+)?", re.IGNORECASE)
_VCPU: Final = re.compile(r"(?:vcpu)?(\d{1,9})", re.IGNORECASE)


class Debugger(Protocol):
    """The session that asks, as far as monitor commands are concerned.

    `vcpu` is the selected one, `refusal` the last refused packet's sentence or "", and `refused` what that was about
    in words; `trace` the kinds of events that are printed while the guest runs (bit k: kind k), `freeze_mode` auto, on
    or off.
    """

    refusal: str
    refused: str

    @property
    def target(self) -> Target: ...

    @property
    def vcpu(self) -> int: ...

    @property
    def trace(self) -> int: ...

    @property
    def freeze_mode(self) -> str: ...

    @property
    def non_stop(self) -> bool: ...

    def set_trace(self, kinds: int) -> None: ...

    def set_freeze(self, mode: str) -> str: ...

    def held(self) -> Sequence[str]: ...

    def run_state(self) -> str: ...


Handler = Callable[[Debugger, list[str]], list[str]]
"""Answers lines; raises Usage for arguments that make no sense, and Refused."""


class Command(NamedTuple):
    """A command: `arguments` as its usage shows them, `summary` for the list of all, `details` for its own help."""

    name: str
    arguments: str
    summary: str
    run: Handler
    details: str = ""

    @property
    def usage(self) -> str:
        return f"monitor {self.name} {self.arguments}".rstrip()


class Usage(Exception):
    """The arguments make no sense; `text` is a sentence that says which."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def choose(word: str, options: Sequence[str], what: str) -> str:
    """The one of `options` that `word` is, or begins; Usage with the nearest otherwise."""
    lowered = word.lower()
    if lowered in options:
        return lowered
    found = [option for option in options if option.startswith(lowered)]
    if len(found) == 1:
        return found[0]
    if found:
        raise Usage(f"{word!r} is the beginning of {listed(found)}: write more of it.")
    near = get_close_matches(lowered, options, n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    raise Usage(f"{word!r} is no {what}: there {'is' if len(options) == 1 else 'are'} {listed(options)}.{guess}")


def at_most(words: Sequence[str], count: int) -> None:
    """Usage for more than `count` arguments."""
    if len(words) > count:
        some = "no argument" if count == 0 else "one argument" if count == 1 else f"at most {count} arguments"
        raise Usage(f"It takes {some}; {' '.join(words[count:])!r} is too much.")


def intid(debugger: Debugger, word: str) -> int:
    """The interrupt that `word` names: 33, 0x21, irq33, irq27_vtimer or vtimer.

    Refused if the domain does not have it.
    """
    found = _IRQ.fullmatch(word)
    named = [n for n, name in sorted(debugger.target.names.items()) if name == word]
    if found is not None:
        number = int(found[1], 0 if found[1][:2].lower() == "0x" else 10)
    elif len(named) > 1:
        raise Usage(f"{word!r} names {listed([f'irq{n}' for n in named])}: write which.")
    elif named:
        number = named[0]
    else:
        raise Usage(f"{word!r} names no interrupt: write its INTID, such as 33, or a name such as irq27_vtimer.")
    total = debugger.target.domain.vgic.nr_irqs
    if number >= total:
        kind = "is reserved for special purposes" if FIRST_SPECIAL <= number < 1024 else "does not exist"
        raise Refused(f"INTID {number} {kind}: the domain has 0 to {total - 1}.")
    return number


def vcpu(debugger: Debugger, words: Sequence[str], index: int) -> int:
    """The vCPU that argument `index` names, or the selected one without it; Refused if there is none."""
    if len(words) <= index:
        return debugger.vcpu
    found = _VCPU.fullmatch(words[index])
    if found is None:
        raise Usage(f"{words[index]!r} is no vCPU: write its number, 0 to {debugger.target.vcpus - 1}.")
    return debugger.target.vcpu(int(found[1])).id


def owner(debugger: Debugger, number: int, words: Sequence[str], index: int) -> int | None:
    """As `vcpu`, for the owner of interrupt `number`: None for an SPI, which has none."""
    if number < NR_PRIVATE:
        return vcpu(debugger, words, index)
    if len(words) > index:
        raise Usage(f"irq{number} is an SPI, which belongs to no vCPU: leave {words[index]!r} out.")
    return None
