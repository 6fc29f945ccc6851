"""From a recorded operation to a request, and from its reply to what the recorder would have observed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from vgicd_client import requests
from vgicd_client.replies import Effect, EffectKind, Reply
from vgicd_client.requests import Request
from vgicd_client.trace.format import Operation
from vgicd_protocol.frames import Space

IAR: Final = 0x00C
EOIR: Final = 0x010
PMR: Final = 0x004

Inputs = Mapping[str, Any]


def _gicd_write(given: Inputs) -> Request[Any]:
    size = given["size"]
    datum = given["val"] & ((1 << 8 * size) - 1)  # the format: wider data is cut to the access
    return requests.write(given["vcpu"], Space.GICD, given["off"], datum, size)


def _map_hw(given: Inputs) -> Request[Any]:
    if given["connect"]:
        return requests.hw_connect(given["virq"], given["pirq"])
    return requests.hw_disconnect(given["virq"], given["pirq"])


_REQUESTS: Final[Mapping[str, Callable[[Inputs], Request[Any]]]] = {
    "gicd_write": _gicd_write,
    "gicd_read": lambda given: requests.read(given["vcpu"], Space.GICD, given["off"], given["size"]),
    "line": lambda given: requests.line(given["intid"], given["level"], given["vcpu"]),
    "enter": lambda given: requests.enter(given["vcpu"]),
    "exit": lambda given: requests.exit(given["vcpu"]),
    "ack": lambda given: requests.read(given["vcpu"], Space.GICC, IAR, 4),
    "eoi": lambda given: requests.write(given["vcpu"], Space.GICC, EOIR, given["val"], 4),
    "pmr": lambda given: requests.write(given["vcpu"], Space.GICC, PMR, given["val"], 4),
    "pending": lambda given: requests.pending_check(given["vcpu"]),
    "evtchn_pending": lambda given: requests.event_channel_pending(given["vcpu"]),
    "alloc_virq": lambda given: requests.virq_alloc(given["spi"]),
    "reserve_virq": lambda given: requests.virq_reserve(given["virq"]),
    "free_virq": lambda given: requests.virq_free(given["virq"]),
    "map_hw": _map_hw,
    "hw_desc": lambda given: requests.hw_desc(given["virq"]),
    "pline": lambda given: requests.phys_line(given["pirq"], given["level"]),
    "hwirq": lambda given: requests.hw_irq(given["pirq"], given["virq"]),
    "move_irqs": lambda given: requests.vcpu_move(given["vcpu"], given["pcpu"]),
}
"""Every kind of operation but `state`, which is no operation of the domain."""


def request_of(operation: Operation) -> Request[Any]:
    """The request that carries out `operation`."""
    return _REQUESTS[operation.kind](operation.inputs)


def observation(operation: Operation, reply: Reply[Any]) -> dict[str, Any]:
    """What the recorder would have written for `operation`, field by field, from its `reply`."""
    match operation.kind:
        case "gicd_read":
            seen = {"val": reply.value, "fault": reply.fault}
        case "gicd_write":
            seen = {"fault": reply.fault}
        case "enter":
            state = reply.value
            seen = {"lrs": list(state.lrs), "hcr": state.hcr, "used": state.used, "misr": state.misr}
        case "exit":
            state = reply.value
            seen = {name: getattr(state, name) for name in ("eisr", "elrsr", "misr", "apr", "hcr")}
            seen["lrs"] = list(state.lrs)
        case "ack":
            seen = {"iar": reply.value}
        case _:
            seen = {"result": reply.value} if "result" in operation.expected else {}
    return seen | effects(reply.effects)


def effects(happened: tuple[Effect, ...]) -> dict[str, Any]:
    """`kicks`, `hw` and `deact` as recorded: in call order, with repeats."""
    deactivated = [effect.b for effect in happened if effect.kind == EffectKind.DEACTIVATE]
    return {
        "kicks": [effect.a for effect in happened if effect.kind == EffectKind.KICK],
        "hw": [_CALLS[effect.kind](effect) for effect in happened if effect.kind in _CALLS],
        "deact": deactivated[0] if len(deactivated) == 1 else deactivated or None,
    }


_CALLS: Final[Mapping[int, Callable[[Effect], list[Any]]]] = {
    EffectKind.ENABLE: lambda effect: ["enable", effect.b],
    EffectKind.DISABLE: lambda effect: ["disable", effect.b],
    EffectKind.AFFINITY: lambda effect: ["affinity", effect.b, effect.c],
    EffectKind.TYPE: lambda effect: ["type", effect.b, "level" if effect.a else "edge"],
    EffectKind.ACTIVE: lambda effect: ["active", effect.b, bool(effect.a)],
    EffectKind.PENDING: lambda effect: ["pending", effect.b, bool(effect.a)],
    EffectKind.SAMPLE: lambda effect: ["sample", effect.b, bool(effect.a)],
}
