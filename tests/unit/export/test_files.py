"""What `vgicctl` writes: the same file for a daemon's WELCOME and for the description of its domain."""

from __future__ import annotations

import pytest

from tests.unit.export.domains import shown
from vgicd.export import files
from vgicd.export.svd import svd
from vgicd.export.typed_elf import symbol_file
from vgicd.gdbstub.arch import ARCHES

CONFIGURATIONS = [("virt", 1, 64, 4), ("xen-guest", 2, 32, 1), ("trace", 8, 960, 64), ("virt", 4, 33, 4)]


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize(("profile", "vcpus", "spis", "lrs"), CONFIGURATIONS)
def test_what_is_announced_is_what_is_described(profile: str, vcpus: int, spis: int, lrs: int, arch: str) -> None:
    it = shown(arch, profile=profile, vcpus=vcpus, spis=spis, lrs=lrs)
    windows = [(region.name, region.base, region.size) for region in it.domain.frames()]
    rounded = it.domain.vgic.nr_spis
    for shape in (
        files.described(profile, vcpus, spis, lrs),
        files.announced(profile, vcpus, rounded, lrs, windows),
    ):
        direct = symbol_file(ARCHES[arch], it.layout, lrs, it.names)
        assert files.gdb_symbols(shape, arch, ["33=uart0"]) == direct
        assert files.register_description(shape) == svd(it.layout, lrs)


@pytest.mark.parametrize(
    ("vcpus", "spis", "lrs", "why"), [(9, 64, 4, "8 vCPUs"), (1, 2000, 4, "960"), (1, 64, 0, "1 to 64 list registers")]
)
def test_a_domain_that_cannot_be_is_refused_with_the_reason(vcpus: int, spis: int, lrs: int, why: str) -> None:
    with pytest.raises(files.ExportError, match=why):
        files.described("virt", vcpus, spis, lrs)


def test_names_and_architectures_that_cannot_be_are_refused_with_the_reason() -> None:
    shape = files.described("virt", 1, 64, 4)
    for arch, names, why in (
        ("mips", [], "no gdb architecture 'mips': choose auto, x86-64"),
        ("arm", ["33"], "'33' is not INTID=NAME"),
        ("arm", ["33=eoi"], "choose another name"),
        ("arm", ["33=a-b"], "letters, digits and underlines"),
    ):
        with pytest.raises(files.ExportError, match=why):
            files.gdb_symbols(shape, arch, names)


def test_frames_that_an_architecture_cannot_address_are_refused_with_the_way_out() -> None:
    far = files.announced("virt", 1, 64, 4, [("GICD", 0x1_0800_0000, 0x1000), ("GICC", 0x1_0801_0000, 0x2000)])
    with pytest.raises(files.ExportError, match="use --gdb-arch aarch64"):
        files.gdb_symbols(far, "arm")
    assert files.gdb_symbols(far, "aarch64")
    assert b"<baseAddress>0x108000000</baseAddress>" in files.register_description(far)
