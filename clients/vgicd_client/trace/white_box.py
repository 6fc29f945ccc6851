"""The white-box view of a trace's `state`, from a domain's state image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

Words = Mapping[str, Sequence[int]]

_FIELDS: Final = (
    "enabled", "pending_latch", "line_level", "active", "is_level", "priority", "targets", "source",
)  # fmt: skip
_SGIS: Final = 16
_PRIVATE: Final = 32
_INSIDE: Final = 2  # of a vCPU's state words


def state_of(image: Words, vcpu: int) -> dict[str, Any]:
    """`running ctlr aplist priv spi` of `vcpu`, as the recorder writes them."""
    vcpus = sum(1 for name in image if name.endswith(".ap_list"))
    queues = [image[f"vcpu{v}.ap_list"] for v in range(vcpus)]
    on_queue = {intid: v for v, queue in enumerate(queues) for intid in queue if intid >= _PRIVATE}
    mine = dict.fromkeys(queues[vcpu], vcpu)
    return {
        "running": [v for v in range(vcpus) if image[f"vcpu{v}.state"][_INSIDE]],
        "ctlr": image["distributor.enabled"][0],
        "aplist": list(queues[vcpu]),
        "priv": _changed(image, f"vcpu{vcpu}.private", 0, mine, 1 << vcpu),
        "spi": _changed(image, "spi", _PRIVATE, on_queue, 0),
    }


def _changed(image: Words, prefix: str, first: int, queues: Mapping[int, int], targets: int) -> list[list[int]]:
    """The rows of the interrupts that are not in their reset state."""
    columns = [image[f"{prefix}.{name}"] for name in _FIELDS]
    tied, physical = image[f"{prefix}.hw"], image[f"{prefix}.hwintid"]
    rows = []
    for index, values in enumerate(zip(*columns, strict=True)):
        intid = first + index
        pintid = physical[index] if tied[index] else -1
        queue = queues.get(intid, -1)
        if (*values, pintid, queue) != _reset(intid, targets):
            rows.append([intid, *values, pintid, queue])
    return rows


def _reset(intid: int, targets: int) -> tuple[int, ...]:
    enabled = int(intid < _SGIS)
    is_level = int(_SGIS <= intid < _PRIVATE)
    return (enabled, 0, 0, 0, is_level, 0, targets, 0, -1, -1)
