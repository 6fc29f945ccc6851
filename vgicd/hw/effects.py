"""Effects: what the core asks of the world outside it, in call order.

A kick asks that a vCPU leave the guest soon; the others are calls to the physical interrupt controller on behalf of
hardware-mapped interrupts.  They are records, not calls: the core stays a function of its inputs.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class EffectKind(IntEnum):
    """Numbers are part of the wire format and never change."""

    KICK = 1  # a = vCPU
    ENABLE = 2  # b = pINTID, as in all that follow
    DISABLE = 3
    AFFINITY = 4  # c = physical CPU
    TYPE = 5  # a = 0 edge, 1 level
    ACTIVE = 6  # a = value forced
    PENDING = 7  # a = value forced
    SAMPLE = 8  # a = value read
    DEACTIVATE = 9  # through the HW bit of a list register


class Effect(NamedTuple):
    """One call; `a`, `b` and `c` mean what its kind says and are 0 otherwise."""

    kind: int
    a: int = 0
    b: int = 0
    c: int = 0
