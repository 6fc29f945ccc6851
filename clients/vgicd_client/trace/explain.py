"""What a recorded or observed value means, in words: for the report of a difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from vgicd_client import decode, regs
from vgicd_client.trace.format import Operation

_ROW: Final = (
    "intid", "enabled", "latch", "line", "active", "level", "priority", "targets", "source", "pintid", "queue",
)  # fmt: skip


def explain(operation: Operation, field: str, value: Any) -> tuple[str, ...]:
    """Lines that decode `value` of `field` of `operation`; none when the value speaks for itself."""
    if value is None:
        return ()
    if field == "val" and operation.kind == "gicd_read":
        return _register(operation, value)
    known = _EXPLAIN.get(field)
    return known(value) if known is not None else ()


def title(operation: Operation) -> str:
    """The operation with its inputs, offsets by their registers' names."""
    words = [operation.kind]
    for name, value in operation.inputs.items():
        if name == "off":
            words.append(f"off={value:#05x} ({regs.locate('GICD', value)})")
        elif name == "val":
            words.append(f"val={value:#x}")
        elif value is not None:
            words.append(f"{name}={_plain(value)}")
    return " ".join(words)


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _register(operation: Operation, value: int) -> tuple[str, ...]:
    offset, size = operation.inputs["off"], operation.inputs["size"]
    return tuple(regs.describe("GICD", offset, value, size))


def _lrs(words: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"LR{n} {word:#010x}: {decode.list_register(word)}" for n, word in enumerate(words))


def _rows(rows: Sequence[Sequence[int]]) -> tuple[str, ...]:
    return tuple(" ".join(f"{n}={v}" for n, v in zip(_ROW, row, strict=True)) for row in rows)


def _one(text: Callable[[int], str]) -> Callable[[int], tuple[str, ...]]:
    return lambda word: (f"{word:#x}: {text(word)}",)


_EXPLAIN: Final[Mapping[str, Callable[[Any], tuple[str, ...]]]] = {
    "lrs": _lrs,
    "hcr": _one(decode.hcr),
    "misr": _one(decode.misr),
    "eisr": _one(lambda word: f"list registers {decode.bits(word)}"),
    "elrsr": _one(lambda word: f"list registers {decode.bits(word)}"),
    "apr": _one(lambda word: f"active priorities {decode.bits(word)}"),
    "iar": _one(decode.acknowledgement),
    "kicks": lambda vcpus: ("vCPUs " + " ".join(map(str, vcpus)),) if vcpus else ("nobody",),
    "hw": lambda calls: tuple(" ".join(map(_plain, call)) for call in calls) or ("no calls",),
    "priv": _rows,
    "spi": _rows,
}
