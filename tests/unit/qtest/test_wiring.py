"""Paths and inputs: QEMU's numbers for machine `virt`."""

from __future__ import annotations

import pytest

from vgicd.qtest.text import Refused
from vgicd.qtest.wiring import Kind, Wiring, check_path


@pytest.mark.parametrize(
    "path", ["/machine/unattached/device[1]", "device[1]", "unattached/device[1]", "//machine//unattached/device[1]/"]
)
def test_a_device_is_found_by_its_path_or_the_end_of_it(path: str) -> None:
    device = Wiring(1, 63).find(path.encode())
    assert device is not None
    assert device.kind is Kind.GIC


@pytest.mark.parametrize(
    "path", ["", "/", "/device[1]", "/machine/unattached", "device", "[1]", "DEVICE[1]", "./device[1]", "device[2]"]
)
def test_nothing_else_is_a_device(path: str) -> None:
    assert Wiring(1, 63).find(path.encode()) is None


def test_the_cpus_come_first_and_the_gic_behind_them() -> None:
    devices = Wiring(3, 63).devices
    assert [(device.kind, device.path[-3:]) for device in sorted(devices, key=lambda device: device.path)] == [
        *((Kind.CPU, f"[{number}]") for number in range(3)),
        (Kind.GIC, "[3]"),
    ]


def test_paths_can_be_chosen() -> None:
    wiring = Wiring(2, 63, "/machine/soc/gic", ["/machine/cpu0", "/machine/cpu1"])
    found = [wiring.find(path) for path in (b"gic", b"cpu1", b"/machine/soc/gic", b"device[0]")]
    assert [device and (device.kind, device.vcpu) for device in found] == [
        (Kind.GIC, 0), (Kind.CPU, 1), (Kind.GIC, 0), None,
    ]  # fmt: skip


@pytest.mark.parametrize(("spis", "private"), [(0, 256), (64, 256), (256, 256), (288, 288), (960, 960)])
def test_inputs_are_the_spis_and_behind_qemus_number_of_them_the_ppis(spis: int, private: int) -> None:
    wiring = Wiring(8, 31 + spis)
    if spis:
        assert wiring.line(spis - 1) == (31 + spis, None)
    assert wiring.line(private + 32 * 7 + 27) == (27, 7)
    assert wiring.input_of(27, 7) == private + 32 * 7 + 27
    assert all(wiring.input_of(*reversed_line(wiring.line(index))) == index for index in range(min(spis, 5)))
    for index in (-1, private + 32 * 8, *([spis] if spis < 256 else [])):
        with pytest.raises(Refused, match=f"no input {index}: they are .*{private} to {private + 255} for PPIs"):
            wiring.line(index)


def reversed_line(line: tuple[int, int | None]) -> tuple[int, int]:
    return line[0], line[1] or 0


def test_a_path_must_be_one_that_a_line_can_carry() -> None:
    assert not check_path("/machine/unattached/device[1]")
    for path in ("device[1]", "/machine/", "/machine//gic"):
        assert "is not a QOM path" in check_path(path)
    for path in ("/a gic", "/gic\n", "/gïc"):
        assert "no command line can carry" in check_path(path)
