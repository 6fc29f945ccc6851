"""`monitor`: what a debugger's user asks in words.

Every command is a row of a table; its help, its usage and the unknown command's sentence come from there.  Commands
and words that choose may be shortened as far as they stay clear.  Nothing that a user types is an error to gdb: what
cannot be done is answered with a sentence that says what to do, as gdb 13 can show no other.
"""

from __future__ import annotations

from difflib import get_close_matches
from itertools import chain
from textwrap import wrap
from typing import Final

from vgicd.gdbstub import text
from vgicd.gdbstub.monitor import control, irqs, state, watching
from vgicd.gdbstub.monitor.command import Command, Debugger, Usage, at_most
from vgicd.gdbstub.target import Refused

__all__ = ["COMMANDS", "Debugger", "Monitor"]


def _help(_debugger: Debugger, words: list[str]) -> list[str]:
    at_most(words, 1)
    if words:
        row = _find(words[0])
        paragraphs = (wrap(line, text.WIDTH - 2) for line in row.details.splitlines())
        return [row.usage, f"  {row.summary}", *(f"  {line}" for line in chain.from_iterable(paragraphs))]
    shown = ((f"{row.name} {row.arguments}".rstrip(), row.summary) for row in COMMANDS)
    return [
        *text.pairs(shown, indent=""),
        "",
        "Commands may be shortened; `monitor help COMMAND` says more of one.",
        "Tables: `info os`. Registers: `p gicd`, `p gich.LR[0]`, `info registers gich_lr0`. Nesting: `bt`.",
    ]


COMMANDS: Final = (
    Command("help", "[COMMAND]", "this list, or more about one command", _help),
    *irqs.COMMANDS,
    *state.COMMANDS,
    *control.COMMANDS,
    *watching.COMMANDS,
)
_LONGEST: Final = 1000
_NAMES: Final = tuple(row.name for row in COMMANDS)


def _find(word: str) -> Command:
    """The command that `word` is, or begins; Refused with the nearest otherwise."""
    lowered = word.lower()
    found = [row for row in COMMANDS if row.name == lowered] or [
        row for row in COMMANDS if row.name.startswith(lowered)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise Refused(f"{word!r} is the beginning of {text.listed([row.name for row in found])}: write more of it.")
    near = get_close_matches(lowered, _NAMES, n=1)
    guess = f" Did you mean `monitor {near[0]}`?" if near else ""
    raise Refused(f"There is no monitor command {word!r}.{guess} `monitor help` lists all.")


class Monitor:
    """The commands of one debugger's session."""

    def __init__(self, debugger: Debugger) -> None:
        self._debugger = debugger

    def run(self, line: str) -> str:
        """What `line` is answered: lines of text, each ended by a newline; never empty, never an exception for it.

        An empty line is `help`.
        """
        if len(line) > _LONGEST:
            return f"A monitor command has at most {_LONGEST} characters, not {len(line)}.\n"
        words = line.split() or ["help"]
        try:
            row = _find(words[0])
            try:
                lines = row.run(self._debugger, words[1:])
            except Usage as wrong:
                lines = [f"{wrong.text} Usage: `{row.usage}`."]
        except Refused as refused:
            lines = [refused.text]
        return "".join(f"{one}\n" for one in lines)
