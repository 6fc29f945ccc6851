"""The kernel's own count of its interrupts against the operation log: exactly, at moments that the guest marks.

A snapshot of the Linux guest is /proc/interrupts between two marks on the console.  What the kernel has counted when it
is read lies between the interrupts ended (EOIR) before the first mark and those acknowledged (IAR) before the second: a
CPU counts after the one and before the other.  Where both numbers are equal, the kernel's must be that number.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

GICC = 0x0801_0000
IAR, EOIR = GICC + 0x0C, GICC + 0x10
_SPURIOUS = 1020

_MARK = re.compile(r"\[ *[\d.]+\] snapshot (\w+) (\d\d) (begins|ends)\s*")
_ROW = re.compile(r" *(\w+):((?: +\d+)+)(?: +(.*?))?\s*")
_WIRED = re.compile(r"GIC-0 +(\d+) +\w+ +(\S+)")
_IPI = re.compile(r"IPI(\d)")


class Cell(NamedTuple):
    """An interrupt on a CPU."""

    cpu: int
    intid: int


@dataclass
class Snapshot:
    """A table, and how far the log was at its two marks."""

    name: str
    begins: int
    ends: int = 0
    counts: dict[Cell, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)  # name -> INTID


class Console:
    """What the guest writes, read for its snapshots; `position` is how far the log is by now."""

    def __init__(self) -> None:
        self.text = ""
        self.snapshots: list[Snapshot] = []
        self._columns: list[int] | None = None

    def write(self, text: str, position: int) -> None:
        """A line of the guest's, or the beginning or rest of one."""
        begun = self.text.rpartition("\n")[2]
        self.text += text
        lines = (begun + text).split("\n")
        for line in lines[:-1]:
            self._read(line, position)

    def _read(self, line: str, position: int) -> None:
        if match := _MARK.fullmatch(line):
            if match[3] == "begins":
                self.snapshots.append(Snapshot(f"{match[1]} {match[2]}", position))
            else:
                self.snapshots[-1].ends = position
            self._columns = None
        elif self.snapshots and re.fullmatch(r"(\s+CPU\d+)+\s*", line):
            self._columns = [int(cpu) for cpu in re.findall(r"\d+", line)]
        elif self._columns is not None and (match := _ROW.fullmatch(line)):
            self._row(match[1], [int(count) for count in match[2].split()], match[3] or "")
        else:
            self._columns = None

    def _row(self, head: str, counts: list[int], about: str) -> None:
        assert self._columns is not None
        snapshot = self.snapshots[-1]
        if match := _WIRED.match(about):
            intid, name = int(match[1]), match[2]
        elif match := _IPI.fullmatch(head):
            intid, name = int(match[1]), head
        else:
            return
        snapshot.rows[name] = intid
        snapshot.counts |= {Cell(cpu, intid): count for cpu, count in zip(self._columns, counts, strict=True)}


class Totals(NamedTuple):
    """How often each interrupt has been acknowledged and ended, up to some place in the log."""

    acknowledged: Counter[Cell]
    ended: Counter[Cell]


def totals(log: Iterable[str]) -> Totals:
    """Of lines `TIME CPU r4|w4|line ADDRESS|INTID VALUE OUTPUTS`."""
    acknowledged: Counter[Cell] = Counter()
    ended: Counter[Cell] = Counter()
    for line in log:
        words = line.split()
        if len(words) < 5 or words[2] not in {"r4", "w4"}:
            continue
        address, intid = int(words[3], 16), int(words[4], 16) & 0x3FF
        if intid >= _SPURIOUS:
            continue
        if words[2] == "r4" and address == IAR:
            acknowledged[Cell(int(words[1]), intid)] += 1
        elif words[2] == "w4" and address == EOIR:
            ended[Cell(int(words[1]), intid)] += 1
    return Totals(acknowledged, ended)


class Comparison(NamedTuple):
    """`exact`: how many snapshots have settled each cell; `wrong`: a sentence for each number that cannot be."""

    exact: Counter[Cell]
    wrong: list[str]


def compare(snapshots: Iterable[Snapshot], log: list[str]) -> Comparison:
    """Every number of every snapshot against `log`."""
    exact: Counter[Cell] = Counter()
    wrong: list[str] = []
    for snapshot in snapshots:
        ended = totals(log[: snapshot.begins]).ended
        acknowledged = totals(log[: snapshot.ends]).acknowledged
        for cell, count in snapshot.counts.items():
            if not ended[cell] <= count <= acknowledged[cell]:
                wrong.append(
                    f"{snapshot.name}: the kernel counts {count} of INTID {cell.intid} on CPU {cell.cpu}, "
                    f"the log {ended[cell]} to {acknowledged[cell]}"
                )
            elif ended[cell] == acknowledged[cell]:
                exact[cell] += 1
    return Comparison(exact, wrong)
