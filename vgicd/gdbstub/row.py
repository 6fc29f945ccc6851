"""A row of the packet table: what is asked, and who answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vgicd.gdbstub.stub import Stub


class Row(NamedTuple):
    """A packet: its exact name, what gdb asks with it, and who answers.

    The answerer gets the stub and what follows the name; it answers the reply's payload, or None for no reply now.  It
    may raise Refused or Malformed.
    """

    name: str
    question: str
    answer: Callable[[Stub, bytes], bytes | None]
