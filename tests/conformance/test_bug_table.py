"""Other systems' GIC bugs, each at least one regression test here, named after it.

Sources are public advisories, commits and issue threads.  The rows that need a daemon (a flood of log lines, concurrent
readers, connections that hang) are in tests/sockets/test_bug_table_daemon.py.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from itertools import pairwise, product
from pathlib import Path
from random import Random
from typing import Any

import pytest

import vgicd
from tests.conformance.scenarios.harness import (
    CPENDSGIR,
    CTLR,
    GICC_HPPIR,
    GICC_PMR,
    ICENABLER,
    ICPENDR,
    IPRIORITYR,
    ISENABLER,
    ISPENDR,
    ITARGETSR,
    SGIR,
    SPENDSGIR,
    SPURIOUS,
    Bench,
)
from vgicd.domain import operations as op
from vgicd.domain.domain import Domain
from vgicd.domain.errors import Code, RequestError
from vgicd.vgic.distributor import GICD

both = pytest.mark.parametrize("variant", ["xen", "correct"])


class Storm:
    """A seeded guest of four vCPUs with its devices: any operation that a client may send, in any order."""

    def __init__(self, variant: str, seed: int, *, lrs: int = 2) -> None:
        self.random = Random(seed)
        self.bench = Bench(variant, vcpus=4, spis=32, lrs=lrs, automatic=True, without=("D2", "D3"))
        self.acknowledged: list[list[int]] = [[], [], [], []]
        for intid in range(32, 48):
            self.bench.spi(intid, priority=intid % 8 << 4, target=1 << intid % 4, level=intid % 3 == 0)

    def step(self) -> None:
        bench, random = self.bench, self.random
        vcpu, intid = random.randrange(4), random.randrange(32, 48)
        bit = 1 << intid - 32
        match random.randrange(13):
            case 0 | 1 | 2:
                bench.inject(intid, random.randrange(2))
            case 3:
                bench.sgi(random.randrange(4), by=vcpu, to=random.randrange(16))
            case 4 | 5:
                self.acknowledge(vcpu)
            case 6 | 7 if self.acknowledged[vcpu]:
                bench.eoi(self.acknowledged[vcpu].pop(), vcpu)
            case 8:
                bench.gicd_write(random.choice((ISENABLER, ICENABLER))[1], bit, vcpu=vcpu)
            case 9:
                bench.gicd_write(random.choice((ISPENDR, ICPENDR))[1], bit, vcpu=vcpu)
            case 10:
                bench.gicd_write(ITARGETSR.byte(intid), random.randrange(16), size=1, vcpu=vcpu)
            case 11:
                bench.gicd_write(IPRIORITYR.byte(intid), random.randrange(256), size=1, vcpu=vcpu)
            case 12:
                bench.gicd_write(CTLR, int(random.random() < 0.8), vcpu=vcpu)

    def acknowledge(self, vcpu: int) -> None:
        answer = self.bench.iar(vcpu)
        if answer < 1020 or answer >> 10:
            self.acknowledged[vcpu].append(answer)


@pytest.fixture(params=["xen", "correct"])
def storm(request: pytest.FixtureRequest) -> Storm:
    return Storm(request.param, seed=0x5EED)


@both
def test_xsa_117_reserved_sgir_filter_has_no_effect(variant: str) -> None:
    """Xen's BUG() of 2014 and out-of-bounds access of 2025; 0x03ff0005 makes SGI 5 pending in QEMU 7.2."""
    bench = Bench(variant)
    before = bench.snapshot()
    for value in (0x03FF0005, 0x03000005, 0xFF4AFFB0, 0xFFFFFFFF):
        bench.gicd_write(SGIR, value)
        assert bench.kicks == []
    assert bench.snapshot() == before


@both
@pytest.mark.parametrize("vcpus", range(1, 9))
def test_cve_2017_10923_sgi_targets_are_limited_to_existing_vcpus(variant: str, vcpus: int) -> None:
    """Every mask, every number of vCPUs."""
    bench = Bench(variant, vcpus=vcpus)
    for mask in range(256):
        bench.sgi(7, by=0, to=mask)
        assert bench.kicks == [vcpu for vcpu in range(vcpus) if mask >> vcpu & 1]


@both
def test_cve_2021_20221_only_four_bits_of_sgir_name_the_sgi(variant: str) -> None:
    """Bits [14:4] are ignored; QEMU's reproducer wrote 0xff4affb0."""
    for noise in (0x0000, 0x03F0, 0x7FF0, 0x0010, 0x4000):
        bench = Bench(variant)
        bench.gicd_write(SGIR, 0x02000000 | noise | 0x5)
        assert bench.gicd_read(ISPENDR[0]) == 0x20


@both
@pytest.mark.parametrize("spis", range(0, 961, 96))
def test_cve_2014_2986_interrupts_out_of_range_are_refused_by_every_register(variant: str, spis: int) -> None:
    """The last word of the last interrupt answers, the next ones abort, and neither changes anything else."""
    bench = Bench(variant, spis=spis, strict_abort=True, without=("D2",))
    irqs = 32 + -(-spis // 32) * 32
    for row in (row for row in GICD.rows if row.bits and row.length * 8 // row.bits == 1024):
        end = row.offset + irqs * row.bits // 8
        words = [word for word in (end - 8, end - 4, end, end + 4) if row.offset <= word < row.offset + row.length]
        for offset in words:
            refused = offset >= end
            for size in (1, 4):
                if not row.widths & size:
                    continue
                before = bench.snapshot()
                assert bench.do(op.Read(0, op.Space.GICD, offset, size)).fault == refused
                write = bench.do(op.Write(0, op.Space.GICD, offset, size, (1 << 8 * size) - 1))
                assert write.fault == refused
                if refused:
                    assert bench.snapshot() == before


def test_xsa_118_the_core_counts_what_a_guest_does_wrong_and_logs_nothing(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The daemon's own limit on log lines is tests/sockets/test_bug_table_daemon.py's."""
    bench = Bench("correct")
    before = bench.domain.apply(op.Stats()).value
    for _ in range(1000):
        bench.do(op.Read(0, op.Space.GICD, 0xD00, 4))
    after = bench.domain.apply(op.Stats()).value
    assert sum(after.values()) - sum(before.values()) >= 1000
    assert any(after[name] - before.get(name, 0) == 1000 for name in after if "fault" in name)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_xsa_223_an_interrupt_knows_the_list_register_it_is_in(storm: Storm) -> None:
    """Never list register 0 or 255 for one that is in none."""
    bench = storm.bench
    for _ in range(300):
        storm.step()
        for vcpu in range(4):
            lrs = bench.lr_state(vcpu).lrs
            for intid in (*range(4), *range(32, 48)):
                info = bench.info(intid, vcpu if intid < 32 else op.NO_VCPU)
                if info.lr >= 0:
                    holder = bench.lr_state(info.listed).lrs
                    assert holder[info.lr] == info.lr_value
                    assert info.lr_value & 0x3FF == intid
                elif info.listed == vcpu:
                    assert all(word & 0x3FF != intid for word in lrs if word >> 28 & 3)


def test_cve_2024_36953_an_unknown_vcpu_is_refused_by_every_operation() -> None:
    bench = Bench("correct", vcpus=3)
    arguments: dict[str, Any] = {"intid": 20, "plane": op.Plane.DEBUG}
    tried = 0
    for operation in vars(op).values():
        fields = getattr(operation, "_fields", ())
        if "vcpu" not in fields or operation in (op.Result, op.IrqState):
            continue
        for vcpu in (3, 8, 0x7FFF, -1):
            values = {
                name: vcpu if name == "vcpu" else arguments.get(name, 0)
                for name in fields
                if name in ("vcpu", "intid") or name not in operation._field_defaults
            }
            if "size" in values:
                values |= {"space": op.Space.GICD, "size": 4}
            with bench.refused(Code.BAD_VCPU):
                bench.do(operation(**values))
            tried += 1
    assert tried >= 4 * 14


def test_no_assert_guards_an_input() -> None:
    """uvmm and qtest abort on arguments they dislike; an assertion vanishes under -O."""
    for path in sorted(Path(vgicd.__file__).parent.rglob("*.py")):
        tree = ast.parse(path.read_text())
        asserts = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
        assert asserts == [], f"{path.name} asserts"


def test_the_refusals_are_the_same_without_assertions() -> None:
    program = """
from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.domain.errors import RequestError
domain = Domain(DomainConfig(vcpus=2, spis=32))
for bad in (op.Line(64, 1), op.Line(1020, 1), op.Read(2, 1, 0, 4), op.Read(0, 9, 0, 4), op.Read(0, 1, 0, 3),
            op.Write(0, 1, 0x1000, 4, 0), op.Enter(0), op.LrSet(0, 0, 0), op.IrqInfo(64), op.Line(32, 2)):
    try:
        domain.apply(bad)
    except RequestError as error:
        print(type(bad).__name__, error.code.name, error.field)
    else:
        print(type(bad).__name__, "accepted")
"""
    runs = [
        subprocess.run([sys.executable, *flags, "-c", program], capture_output=True, text=True, check=True).stdout
        for flags in ([], ["-O"])
    ]
    assert runs[0] == runs[1]
    assert len(runs[0].splitlines()) == 10
    assert "accepted" not in runs[0]


@both
def test_libvmm_56_a_pending_interrupt_survives_being_disabled(variant: str) -> None:
    bench = Bench(variant, automatic=True)
    bench.spi(32)
    bench.inject(32)
    bench.disable(32)
    assert not bench.virq()
    assert bench.pending(32)
    bench.enable(32)
    assert bench.iar() == 32


@both
def test_libvmm_257_an_edge_is_no_longer_pending_while_it_is_serviced(variant: str) -> None:
    bench = Bench(variant, automatic=True)
    bench.spi(32)
    bench.inject(32)
    assert bench.iar() == 32
    assert not bench.pending(32)
    bench.eoi(32)
    assert not bench.virq()


@both
def test_bao_371_disabling_never_orphans_an_active_interrupt(variant: str) -> None:
    bench = Bench(variant, automatic=True)
    bench.spi(32)
    bench.inject(32)
    assert bench.iar() == 32
    bench.disable(32)
    assert bench.active(32)


@both
def test_cheribsd_2692_the_eoi_of_a_disabled_interrupt_is_not_dropped(variant: str) -> None:
    bench = Bench(variant, automatic=True)
    bench.spi(32)
    bench.inject(32)
    assert bench.iar() == 32
    bench.disable(32)
    bench.eoi(32)
    assert not bench.active(32)
    assert bench.gicc_read(0x14) == 0xFF
    bench.enable(32)
    bench.inject(32)
    assert bench.iar() == 32


@pytest.mark.parametrize("lrs", [1, 2, 4])
def test_bao_398_nesting_deeper_than_the_list_registers_makes_progress(lrs: int) -> None:
    """All list registers active and one more preempting: a storm of maintenance interrupts elsewhere."""
    bench = Bench("correct", lrs=lrs, automatic=True)
    depth = lrs + 2
    for place in range(depth):
        bench.spi(32 + place, priority=0xF0 - 0x10 * place)
        bench.inject(32 + place)
        assert bench.iar() == 32 + place
        assert len(bench.effects) <= 2
    for place in reversed(range(depth)):
        bench.eoi(32 + place)
        assert len(bench.effects) <= 2
        assert not bench.active(32 + place)
    assert bench.iar() == SPURIOUS
    assert bench.gicc_read(0x14) == 0xFF


def test_hvisor_396_nothing_is_queued_or_loaded_twice(storm: Storm) -> None:
    bench = storm.bench
    for _ in range(1500):
        storm.step()
        spis: list[int] = []
        for vcpu in range(4):
            listed = bench.listed(vcpu)
            assert len(listed) == len(set(listed))
            spis += [intid for intid in listed if intid >= 32]
            loaded = [word & 0x3FF for word in bench.lr_state(vcpu).lrs if word >> 28 & 3]
            assert len(loaded) == len(set(loaded))
            assert set(loaded) <= set(listed)
        assert len(spis) == len(set(spis))


def test_qemu_4402_hppir_names_what_iar_then_acknowledges(storm: Storm) -> None:
    """The source CPU included; QEMU loses it."""
    bench = storm.bench
    acknowledged = sources = 0
    for _ in range(3000):
        storm.step()
        vcpu = storm.random.randrange(4)
        hppir = bench.gicc_read(GICC_HPPIR, vcpu=vcpu)
        before = len(storm.acknowledged[vcpu])
        storm.acknowledge(vcpu)
        for answer in storm.acknowledged[vcpu][before:]:
            assert answer == hppir
            acknowledged += 1
            sources += answer >> 10 != 0
    assert acknowledged > 100
    assert sources > 10


def brute_force_outputs(bench: Bench) -> int:
    """From the list registers' words alone: the highest eligible one decides each vCPU's output."""
    outputs = 0
    for vcpu in range(bench.domain.config.vcpus):
        state = bench.lr_state(vcpu)
        pmr, running = state.vmcr >> 27 << 3, (state.apr & -state.apr).bit_length() * 8 - 8 if state.apr else 0x100
        best = min((word >> 23 & 0x1F for word in state.lrs if word >> 28 & 3 == 1), default=0x20) << 3
        if state.hcr & 1 and best < pmr and best < running:
            outputs |= 1 << 2 * vcpu
    return outputs


def test_vcml_36_the_outputs_follow_every_operation(storm: Storm) -> None:
    """Forgotten after an EOI elsewhere; here they always equal a brute-force search of the list registers."""
    bench = storm.bench
    seen = set()
    for _ in range(3000):
        storm.step()
        assert bench.domain.outputs == brute_force_outputs(bench)
        seen.add(bench.domain.outputs)
    assert len(seen) > 8


@both
def test_gem5_four_byte_writes_equal_one_word_write(variant: str) -> None:
    """Xen and gem5 once wrote the wrong lane."""
    for block, base in ((IPRIORITYR, 8), (ITARGETSR, 8), (IPRIORITYR, 1)):
        words, lanes = Bench(variant, vcpus=4), Bench(variant, vcpus=4)
        words.gicd_write(block[base], 0x0F0E0D18)
        for lane in range(4):
            lanes.gicd_write(block.byte(4 * base + lane), 0x0F0E0D18 >> 8 * lane & 0xFF, size=1)
        assert words.gicd_read(block[base]) == lanes.gicd_read(block[base]) != 0
        read = [lanes.gicd_read(block.byte(4 * base + lane), size=1) for lane in range(4)]
        assert int.from_bytes(read, "little") == words.gicd_read(block[base])


def test_gem5_four_byte_writes_of_sgi_sources_equal_one_word_write() -> None:
    words, lanes = Bench("correct", vcpus=4), Bench("correct", vcpus=4)
    for block, value in ((SPENDSGIR, 0x0F0E0D08), (CPENDSGIR, 0x01020408)):
        words.gicd_write(block[1], value)
        for lane in range(4):
            lanes.gicd_write(block.byte(4 + lane), value >> 8 * lane & 0xFF, size=1)
        assert words.gicd_read(SPENDSGIR[1]) == lanes.gicd_read(SPENDSGIR[1]) != 0


@both
def test_cloud_hypervisor_8638_every_vcpus_banked_state_is_saved(variant: str) -> None:
    """There vCPU 0's was saved for all."""
    bench = Bench(variant, vcpus=4, automatic=True)
    for vcpu in range(4):
        bench.gicc_write(GICC_PMR, 0x40 + 0x10 * vcpu, vcpu=vcpu)
        bench.private(27, vcpu=vcpu, priority=0x08 * (vcpu + 1))
        bench.inject(27, vcpu=vcpu)
        if vcpu % 2:
            assert bench.iar(vcpu) == 27
    image = bench.snapshot()
    twin = Domain(bench.domain.config)
    twin.apply(op.Restore(image))
    assert twin.apply(op.Snapshot()).value == image
    assert twin.outputs == bench.domain.outputs
    for vcpu in range(4):
        for space, offset in ((op.Space.GICC, GICC_PMR), (op.Space.GICC, 0x14), (op.Space.GICD, IPRIORITYR[6])):
            answers = [domain.apply(op.Read(vcpu, space, offset, 4)).value for domain in (twin, bench.domain)]
            assert answers[0] == answers[1]
    distinct = [twin.apply(op.Read(vcpu, op.Space.GICD, IPRIORITYR[6], 4)).value for vcpu in range(4)]
    assert len(set(distinct)) == 4


def test_firecracker_2234_a_snapshot_names_its_words_and_fits_its_geometry_only() -> None:
    image = Bench("correct", vcpus=2, spis=64, lrs=4).snapshot()
    assert all(isinstance(name, str) and isinstance(words, tuple) for name, words in image.items())
    for vcpus, spis, lrs in ((3, 64, 4), (2, 32, 4), (2, 96, 4), (2, 64, 2)):
        bench = Bench("correct", vcpus=vcpus, spis=spis, lrs=lrs)
        with bench.refused(Code.BAD_IMAGE):
            bench.do(op.Restore(image))
    bench = Bench("correct", vcpus=2, spis=64, lrs=4)
    name = next(iter(image))
    for damaged in (
        {key: words for key, words in image.items() if key != name},
        {**image, "no such thing": (0,)},
        {**image, name: (*image[name], 0)},
        {},
    ):
        with bench.refused(Code.BAD_IMAGE):
            bench.do(op.Restore(damaged))
    bench.do(op.Restore(image))
    assert bench.snapshot() == image


def test_kvm_vgic_debug_any_number_of_readers_changes_nothing(storm: Storm) -> None:
    """KVM's debug file answers EBUSY to a second reader; eight of ours interleave with a running guest."""
    bench = storm.bench
    for _ in range(200):
        storm.step()
        before = bench.snapshot()
        texts = [bench.domain.apply(op.Dump(reader % 2)).value for reader in range(8)]
        assert texts[:2] * 4 == texts
        assert bench.snapshot() == before


def test_avatar2_103_events_are_queued_and_never_run_inside_an_operation(storm: Storm) -> None:
    """They are handed out afterwards, in order, each with the number of the operation that caused it."""
    bench = storm.bench
    bench.domain.listen(0xFFFFFFFF)
    bench.domain.take_events()
    orders = []
    for _ in range(300):
        first = bench.domain.order + 1
        storm.step()
        events = bench.domain.take_events()
        assert all(first <= event.order <= bench.domain.order for event in events)
        orders += [event.order for event in events]
    assert len(orders) > 100
    assert all(earlier <= later for earlier, later in pairwise(orders))
    assert bench.domain.take_events() == []


def test_renode_534_line_operations_of_any_shape_are_applied_or_refused() -> None:
    bench = Bench("correct", vcpus=2, spis=32, automatic=True)
    accepted = refused = 0
    for intid, level, vcpu, pulse in product(
        (-1, 0, 15, 16, 31, 32, 63, 64, 1019, 1020, 1023, 4096, 1 << 31),
        (-1, 0, 1, 2, 255),
        (0, 1, 2, op.NO_VCPU),
        (False, True),
    ):
        good_vcpu = vcpu < 2 if intid < 32 else vcpu == op.NO_VCPU
        operation = op.Line(intid, level, vcpu, pulse)
        if 16 <= intid < 64 and level in (0, 1) and good_vcpu:
            bench.do(operation)
            accepted += 1
        else:
            before = bench.snapshot()
            with pytest.raises(RequestError):
                bench.do(operation)
            assert bench.snapshot() == before
            refused += 1
    assert accepted == 2 * 2 * (2 * 2 + 2)  # levels, pulses: two PPIs of two vCPUs, and two SPIs
    assert refused > 200
