"""The files that other tools load, for a running daemon's domain or for one that is only described."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vgicd.domain.address_map import Region
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.domain.errors import CreationError, RequestError
from vgicd.domain.operations import Space
from vgicd.export import svd, typed_elf
from vgicd.gdbstub import arch, lifecycle
from vgicd.gdbstub.layout import AddressSpace
from vgicd.vgic.irq import NR_PRIVATE


class ExportError(Exception):
    """There is no such file; the text is a sentence that says why."""


class Shape(NamedTuple):
    """A domain as far as its files show it. `spis` is a multiple of 32."""

    profile: str
    vcpus: int
    spis: int
    lrs: int
    regions: tuple[Region, ...]


def described(profile: str, vcpus: int, spis: int, lrs: int) -> Shape:
    """The shape that a daemon with this configuration would have.

    Raises ExportError for what none can have.
    """
    try:
        domain = Domain(DomainConfig(vcpus=vcpus, spis=spis, lrs=lrs, profile=profile))
    except (CreationError, RequestError) as error:
        raise ExportError(f"there can be no such domain: {error}") from error
    return Shape(profile, vcpus, domain.vgic.nr_spis, lrs, tuple(domain.frames()))


def announced(profile: str, vcpus: int, spis: int, lrs: int, windows: Iterable[tuple[str, int, int]]) -> Shape:
    """The shape of a daemon, from its WELCOME; `windows` are names, bases and sizes in its address map."""
    regions = []
    for name, base, size in windows:
        space = Space.__members__.get(name, Space.DEVICE)
        regions.append(Region(name, base, size, space, guest=space != Space.GICH))
    return Shape(profile, vcpus, spis, lrs, tuple(regions))


def gdb_symbols(shape: Shape, gdb_arch: str = "auto", irq_names: Sequence[str] = ()) -> bytes:
    """The ELF file that `add-symbol-file` takes; `irq_names` are INTID=NAME.

    Raises ExportError for an architecture or a name that there cannot be.
    """
    try:
        chosen = arch.choose(gdb_arch)
        given = lifecycle.parse_names(tuple(irq_names))
    except (arch.ArchError, ValueError) as error:
        raise ExportError(str(error)) from error
    layout = _layout(shape, chosen)
    return typed_elf.symbol_file(chosen, layout, shape.lrs, lifecycle.names_for(shape.profile, given))


def register_description(shape: Shape) -> bytes:
    """The CMSIS-SVD file.

    Raises ExportError when the frames leave no place for GICH.
    """
    return svd.svd(_layout(shape, arch.ARCHES["x86-64"]), shape.lrs)  # the places are those of every architecture


def _layout(shape: Shape, chosen: arch.Arch) -> AddressSpace:
    try:
        return AddressSpace(chosen, shape.regions, shape.vcpus, shape.spis + NR_PRIVATE)
    except arch.ArchError as error:
        raise ExportError(str(error)) from error
