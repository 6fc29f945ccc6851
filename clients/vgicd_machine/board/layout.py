"""Who has which part of RAM before the guest begins: nothing overlaps, and what does not fit is refused."""

from __future__ import annotations

from typing import NamedTuple

from vgicd_machine.errors import ImageError


class Span(NamedTuple):
    """[start, end) is taken by `owner`."""

    owner: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.owner} ({self.start:#x} to {self.end:#x})"


class Layout:
    """The spans of the memory from `base` to `end`, which is called `name` in errors."""

    def __init__(self, base: int, end: int, name: str = "RAM") -> None:
        self._base = base
        self._end = end
        self._name = name
        self.spans: list[Span] = []

    @property
    def top(self) -> int:
        """The end of the highest span."""
        return max((span.end for span in self.spans), default=self._base)

    def take(self, owner: str, start: int, size: int) -> None:
        """Give `owner` `size` bytes from `start`. Raises `ImageError` when they are not there or taken."""
        if start < self._base or start + size > self._end:
            raise ImageError(
                f"{owner} wants {size:#x} bytes at {start:#x}, but {self._name} is {self._base:#x} to {self._end:#x}"
            )
        wanted = Span(owner, start, start + size)
        if (other := self._in_the_way(wanted)) is not None:
            raise ImageError(f"{wanted} and {other} overlap")
        self.spans.append(wanted)

    def is_free(self, start: int, size: int) -> bool:
        """Whether `take` would succeed."""
        inside = self._base <= start and start + size <= self._end
        return inside and self._in_the_way(Span("", start, start + size)) is None

    def place(self, owner: str, size: int, preferred: int, alignment: int) -> int:
        """Give `owner` `size` bytes: at `preferred`, else as near below the end as there is room; yields the start.

        Raises `ImageError` when there is no such room.
        """
        start = preferred
        if not self.is_free(start, size):
            edges = [self._end, *(span.start for span in self.spans)]
            starts = (edge - size & -alignment for edge in sorted(edges, reverse=True))
            found = next((at for at in starts if self.is_free(at, size)), None)
            if found is None:
                taken = ", ".join(map(str, sorted(self.spans, key=lambda span: span.start)))
                raise ImageError(
                    f"no room for {owner} of {size:#x} bytes in {self._name} "
                    f"({self._base:#x} to {self._end:#x}) beside {taken}: give the machine more RAM"
                )
            start = found
        self.take(owner, start, size)
        return start

    def _in_the_way(self, wanted: Span) -> Span | None:
        return next((span for span in self.spans if span.start < wanted.end and wanted.start < span.end), None)
