"""Domains of several shapes, and how gdb sees them."""

from __future__ import annotations

from typing import Any, NamedTuple

from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.gdbstub import lifecycle
from vgicd.gdbstub.arch import ARCHES
from vgicd.gdbstub.layout import AddressSpace


class Shown(NamedTuple):
    """A domain and its layout for an architecture."""

    domain: Domain
    layout: AddressSpace
    lrs: int
    names: dict[int, str]


def shown(arch: str = "x86-64", **config: Any) -> Shown:
    domain = Domain(DomainConfig(**config))
    layout = AddressSpace(ARCHES[arch], domain.frames(), len(domain.vgic.vcpus), domain.vgic.nr_irqs)
    return Shown(domain, layout, domain.config.lrs, lifecycle.names_for(domain.config.profile, {33: "uart0"}))


SHAPES: dict[str, dict[str, Any]] = {
    "one": {},
    "pair": {"vcpus": 2},
    "most": {"vcpus": 8, "spis": 960, "lrs": 64},
    "least": {"spis": 0, "lrs": 1},
    "xen-guest": {"vcpus": 2, "profile": "xen-guest"},
    "aliased": {"layout": "hardware", "gicc_size": 0x20000},
}
