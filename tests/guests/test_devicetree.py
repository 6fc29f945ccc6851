"""The device tree: as QEMU's virt has it, and the user's own with what a run adds."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tests.guests.fakes import FakeGic
from tests.guests.trees import flatten, reservations
from tests.tools import require_tool
from vgicd_machine.board.board import Board
from vgicd_machine.errors import ImageError
from vgicd_machine.gic.port import Window

MIB = 1 << 20

# What the machine does not have, and therefore does not describe.
ABSENT = re.compile(
    r"/(platform-bus@c000000|fw-cfg@9020000|virtio_mmio@\w+|gpio-keys|pl061@9030000|pcie@10000000|pmu|flash@0"
    r"|intc@8000000/v2m@8020000)/"
    r"|/pl031@9010000/interrupts$"  # its alarm has no line
    r"|/chosen/kaslr-seed$|/dma-coherent$"
)
ADDED = re.compile(r"/aliases/")  # QEMU's later versions have them as well
# Values that only have to be consistent.
OF_ITS_OWN = re.compile(r"/phandle$|/interrupt-parent$|/clocks$|/cpu-map/.*/cpu$|/chosen/rng-seed$")


def loaded(folder: Path, *, cpus: int = 1, mib: int = 128, **options: object) -> bytes:
    image = folder / "image"
    image.write_bytes(bytes(4096))
    return Board(FakeGic(), lambda _byte: None, ram_size=mib * MIB).load(image, cpus=cpus, **options).tree


def qemu(folder: Path, cpus: int, mib: int) -> bytes:
    require_tool("qemu-system-aarch64", "qemu-system-arm")
    image, dumped = folder / "image", folder / "qemu.dtb"
    image.write_bytes(bytes(4096))
    command = ["qemu-system-aarch64", "-M", f"virt,gic-version=2,dumpdtb={dumped}", "-cpu", "cortex-a57"]
    command += ["-smp", str(cpus), "-m", str(mib), "-nodefaults", "-display", "none", "-kernel", str(image)]
    command += ["-initrd", str(image), "-append", "console=ttyAMA0 quiet"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return dumped.read_bytes()


@pytest.mark.parametrize(("cpus", "mib"), [(1, 128), (2, 1024), (8, 2048)])
def test_generated_tree_is_qemus_but_for_what_the_machine_does_not_have(tmp_path: Path, cpus: int, mib: int) -> None:
    theirs = flatten(qemu(tmp_path, cpus, mib))
    image = tmp_path / "image"
    ours = flatten(loaded(tmp_path, cpus=cpus, mib=mib, initrd=image, append="console=ttyAMA0 quiet"))
    wanted = {path for path in theirs if not ABSENT.search(path)}
    given = {path for path in ours if not ADDED.search(path)}
    # our 64-bit initrd addresses; QEMU writes 32 bits where #address-cells would allow it
    for name in ("/chosen/linux,initrd-start", "/chosen/linux,initrd-end"):
        assert int.from_bytes(theirs.pop(name), "big") == int.from_bytes(ours.pop(name), "big")
    wanted, given = wanted & theirs.keys(), given & ours.keys()
    assert given == wanted
    fixed = [path for path in sorted(wanted) if not OF_ITS_OWN.search(path)]
    assert {path: ours[path] for path in fixed} == {path: theirs[path] for path in fixed}
    for index in range(cpus):
        core = ours[f"/cpus/cpu-map/socket0/cluster0/core{index}/cpu"]
        assert core == ours[f"/cpus/cpu@{index}/phandle"]
    assert ours["/interrupt-parent"] == ours["/intc@8000000/phandle"]
    assert ours["/pl011@9000000/clocks"][:4] == ours["/apb-pclk/phandle"]


def test_generated_tree_passes_the_compilers_checks(tmp_path: Path) -> None:
    require_tool("dtc", "device-tree-compiler")
    tree = tmp_path / "tree.dtb"
    tree.write_bytes(loaded(tmp_path, cpus=2, append=""))
    # like QEMU's, the clock's node name has no unit and cells precede what they size: not asked here
    done = subprocess.run(
        ["dtc", "-I", "dtb", "-O", "dts", "-o", "/dev/null", str(tree)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_timers_reach_every_cpu_by_their_mask(tmp_path: Path) -> None:
    for cpus in (1, 4, 8):
        cells = struct.unpack(">12I", flatten(loaded(tmp_path, cpus=cpus))["/timer/interrupts"])
        assert [cells[n : n + 3] for n in range(0, 12, 3)] == [
            (1, ppi, (1 << cpus) - 1 << 8 | 4) for ppi in (13, 14, 11, 10)
        ]


def test_tree_follows_the_daemons_frames(tmp_path: Path) -> None:
    gic = FakeGic()
    gic.windows = (Window("GICD", 0x0300_1000, 0x1000), Window("GICC", 0x0300_2000, 0x2000))
    image = tmp_path / "image"
    image.write_bytes(b"flat")
    tree = flatten(Board(gic, lambda _byte: None, ram_size=4 * MIB).load(image).tree)
    assert struct.unpack(">8I", tree["/intc@3001000/reg"]) == (0, 0x0300_1000, 0, 0x1000, 0, 0x0300_2000, 0, 0x2000)


def test_random_numbers_come_from_the_seed(tmp_path: Path) -> None:
    first, again, other = (loaded(tmp_path, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert flatten(first)["/chosen/rng-seed"] != flatten(other)["/chosen/rng-seed"]
    assert len(flatten(first)["/chosen/rng-seed"]) == 32


def test_append_is_ascii_and_may_be_empty(tmp_path: Path) -> None:
    assert "/chosen/bootargs" not in flatten(loaded(tmp_path))
    assert flatten(loaded(tmp_path, append=""))["/chosen/bootargs"] == b"\0"
    assert flatten(loaded(tmp_path, append='a="b c"'))["/chosen/bootargs"] == b'a="b c"\0'
    with pytest.raises(ImageError, match="--append holds more than ASCII"):
        loaded(tmp_path, append="ä")


SOURCE = """/dts-v1/;
/memreserve/ 0x41000000 0x1000;
/ {
    compatible = "somebody,board"; #address-cells = <2>; #size-cells = <1>;
    memory@80000000 { device_type = "memory"; reg = <0 0x80000000 0x1000>; };
    memory { device_type = "memory"; reg = <0 0 0x1000>; };
    chosen { bootargs = "theirs"; stdout-path = "/uart"; };
    odd { empty; text = "a", "", "b"; bytes = [00 01 02 03 04]; like-text = <0x61620000>; nothing = ""; };
};
"""


def compiled(folder: Path, source: str) -> Path:
    require_tool("dtc", "device-tree-compiler")
    path = folder / "own.dtb"
    subprocess.run(["dtc", "-q", "-O", "dtb", "-o", str(path), "-"], input=source, text=True, check=True)
    return path


def test_own_tree_gets_this_machines_memory_and_initrd_and_keeps_the_rest(tmp_path: Path) -> None:
    path = compiled(tmp_path, SOURCE)
    initrd = tmp_path / "initrd"
    initrd.write_bytes(b"initrd")
    blob = loaded(tmp_path, dtb=path, initrd=initrd, append="ours")
    before, after = flatten(path.read_bytes()), flatten(blob)
    changed = {key: value for key, value in after.items() if before.get(key) != value}
    assert changed == {
        "/memory@40000000/": b"",
        "/memory@40000000/device_type": b"memory\0",
        "/memory@40000000/reg": struct.pack(">3I", 0, 0x4000_0000, 128 * MIB),
        "/chosen/bootargs": b"ours\0",
        "/chosen/linux,initrd-start": struct.pack(">Q", 0x4400_0000),
        "/chosen/linux,initrd-end": struct.pack(">Q", 0x4400_0006),
    }
    assert {key for key in before if key not in after} == {
        f"/{node}/{what}" for node in ("memory", "memory@80000000") for what in ("", "device_type", "reg")
    }
    assert reservations(blob) == [(0x4100_0000, 0x1000)]
    assert reservations(loaded(tmp_path)) == [], "one tree's reservations are not the next one's"


def test_own_tree_without_chosen_gets_one_only_if_there_is_something_to_say(tmp_path: Path) -> None:
    path = compiled(tmp_path, "/dts-v1/; / { #address-cells = <1>; #size-cells = <1>; };")
    after = flatten(loaded(tmp_path, dtb=path, append="ours"))
    assert after["/chosen/bootargs"] == b"ours\0"
    assert after["/memory@40000000/reg"] == struct.pack(">2I", 0x4000_0000, 128 * MIB)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda blob: b"/dts-v1/; / {};", "is not a flattened device tree: dtc"),
        (lambda blob: blob[:60], "is a broken device tree"),
        (lambda blob: blob[:20] + struct.pack(">II", 3, 2) + blob[28:], "is a device tree of version 3"),
        (lambda blob: blob[:56] + struct.pack(">I", 7) + blob[60:], "is a broken device tree: Unknown Tag"),
    ],
)
def test_a_file_that_is_no_device_tree_is_refused(tmp_path: Path, damage: object, reason: str) -> None:
    assert callable(damage)
    path = compiled(tmp_path, "/dts-v1/; / { a { }; };")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ImageError, match=f"own.dtb {reason}"):
        loaded(tmp_path, dtb=path)


def test_a_tree_whose_addresses_no_machine_has_is_refused(tmp_path: Path) -> None:
    path = compiled(tmp_path, "/dts-v1/; / { #address-cells = <3>; #size-cells = <1>; };")
    with pytest.raises(ImageError, match="#address-cells = 3: a memory node needs 1 or 2"):
        loaded(tmp_path, dtb=path)


def test_a_tree_larger_than_a_kernel_maps_is_refused(tmp_path: Path) -> None:
    path = compiled(tmp_path, "/dts-v1/; / { big = [" + "00" * 4 + "]; };")
    assert shutil.which("dtc")
    blob = path.read_bytes()
    big = bytes(2 * MIB)
    at = blob.index(struct.pack(">II", 3, 4))
    name = blob[at + 8 : at + 12]
    structure = blob[56:at] + struct.pack(">II", 3, len(big)) + name + big + struct.pack(">II", 2, 9)
    strings = blob[struct.unpack_from(">I", blob, 12)[0] :]
    head = struct.pack(">10I", 0xD00DFEED, 56 + len(structure) + len(strings), 56, 56 + len(structure), 40, 17, 16, 0,
                       len(strings), len(structure))  # fmt: skip
    path.write_bytes(head + bytes(16) + structure + strings)
    with pytest.raises(ImageError, match="a kernel takes at most 0x200000"):
        loaded(tmp_path, dtb=path)
