"""Two ways to the same state agree: lazily or eagerly, once or again, saved and restored, seen or read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property.budget import BRIEF, QUICK, THOROUGH
from tests.property.ops import GENES, Refusal, Script, answer, configs, genes, runs, snapshot
from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.hw.gich import GICH
from vgicd.hw.gicv import GICC
from vgicd.vgic.distributor import GICD


def in_step(one: Domain, other: Domain, script: Script, run: Iterable[int]) -> None:
    """Apply the same operations to both; answers, outputs and the whole state must agree after each."""
    for number, (operation, first) in enumerate(script.play(one, run)):
        note = f"operation {number} of {one.config}: {operation}"
        assert first == answer(other, operation), note
        assert snapshot(one) == snapshot(other), note


def lazy_against_eager(config: DomainConfig, run: Iterable[int]) -> None:
    in_step(Domain(replace(config, lazy=True)), Domain(replace(config, lazy=False)), Script(config), run)


correct = configs(variants=("correct",))


@given(config=correct, run=runs())
@QUICK
def test_skipping_world_switches_that_change_nothing_changes_nothing(config: DomainConfig, run: list[int]) -> None:
    """DESIGN: work may be skipped where lazy is proved equal to eager."""
    lazy_against_eager(config, run)


@pytest.mark.long
@given(config=configs(variants=("correct",), vcpus=(1, 2, 3, 4, 8), lrs=(1, 2, 3, 4, 16, 64)), run=runs(size=120))
@THOROUGH
def test_lazy_equals_eager_for_long(config: DomainConfig, run: list[int]) -> None:
    lazy_against_eager(config, run)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("profile", ["virt", "xen-guest", "trace"])
def test_lazy_equals_eager_through_a_soak(profile: str, seed: int) -> None:
    config = DomainConfig(vcpus=(1, 2, 4, 8)[seed % 4], lrs=(1, 2, 4, 16)[seed // 2 % 4], profile=profile)
    lazy_against_eager(config, genes(seed, 1_500))


@given(config=configs(), run=runs())
@BRIEF
def test_the_same_operations_give_the_same_answers(config: DomainConfig, run: list[int]) -> None:
    in_step(Domain(config), Domain(config), Script(config), run)


def saved_and_restored(config: DomainConfig, run: Iterable[int], after: Iterable[int]) -> None:
    domain = Domain(config)
    script = Script(config)
    for _ in script.play(domain, run):
        pass
    image = snapshot(domain)
    twin = Domain(config)
    twin.apply(op.Restore(image))
    assert snapshot(twin) == image
    assert twin.outputs == domain.outputs
    assert twin.explicit == domain.explicit
    # The history of a domain is not its state: align the order numbers, then both must go on alike.
    shift = twin.order - domain.order
    for gene in after:
        operation = script.next(gene)
        first, second = answer(domain, operation), answer(twin, operation)
        script.saw(operation, first)
        if isinstance(operation, op.Stats):
            continue  # counts what happened, which is history, too
        if not isinstance(second, Refusal):
            second = second._replace(order=second.order - shift)
        assert first == second, operation
    assert snapshot(domain) == snapshot(twin)


@given(config=configs(), run=runs(), after=runs(size=20))
@QUICK
def test_a_restored_snapshot_is_the_domain_that_was_saved(
    config: DomainConfig, run: list[int], after: list[int]
) -> None:
    """Every vCPU's banked state is its own (cloud-hypervisor #8638), and both go on alike."""
    saved_and_restored(config, run, after)


@pytest.mark.long
@given(config=configs(), run=runs(size=120), after=runs(size=100))
@THOROUGH
def test_a_restored_snapshot_is_the_domain_that_was_saved_for_long(
    config: DomainConfig, run: list[int], after: list[int]
) -> None:
    saved_and_restored(config, run, after)


def registers(config: DomainConfig) -> list[tuple[int, int, int]]:
    """(space, offset, width) of every word, and of some bytes, of every register that a guest can read."""
    places = []
    for space, frame in ((op.Space.GICD, GICD), (op.Space.GICC, GICC)):
        for row in frame.rows:
            places += [(space, row.offset + 4 * word, 4) for word in range(row.length // 4)]
            if row.widths & 1:
                places += [(space, row.offset + byte, 1) for byte in range(0, row.length, 7)]
    return places


def peeks_equal_reads(config: DomainConfig, run: Iterable[int], seed: int, count: int | None) -> None:
    """After `run`, `count` registers (None: all) answer DEBUG as they answer GUEST a moment later."""
    domain = Domain(config)
    for _ in Script(config).play(domain, run):
        pass
    image = snapshot(domain)
    random = Random(seed)
    places = registers(config)
    for space, offset, size in places if count is None else random.sample(places, count):
        vcpu = random.randrange(config.vcpus)
        peeked = answer(domain, op.Read(vcpu, space, offset, size, op.Plane.DEBUG))
        assert snapshot(domain) == image, "a DEBUG read changed the state"
        twin = Domain(config)
        twin.apply(op.Restore(image))
        read = answer(twin, op.Read(vcpu, space, offset, size))
        note = f"vCPU {vcpu}, {space.name} {offset:#x}, {size} bytes"
        if isinstance(read, Refusal) and config.vcpus > vcpu:
            continue  # explicit mode, and this vCPU is on the wrong side: no guest could read now
        assert not isinstance(peeked, Refusal), note
        assert not isinstance(read, Refusal), note
        assert (peeked.value, peeked.fault) == (read.value, read.fault), note


@given(config=configs(), run=runs(), seed=GENES)
@QUICK
def test_a_debug_read_answers_what_a_guest_read_would(config: DomainConfig, run: list[int], seed: int) -> None:
    peeks_equal_reads(config, run, seed, 12)


@pytest.mark.long
@given(config=configs(), run=runs(size=100), seed=st.integers(0, 2**32))
@THOROUGH
def test_a_debug_read_answers_what_a_guest_read_would_for_long(config: DomainConfig, run: list[int], seed: int) -> None:
    peeks_equal_reads(config, run, seed, 30)


def test_every_register_answers_debug_as_guest_in_a_busy_domain() -> None:
    config = DomainConfig(vcpus=2, lrs=4)
    peeks_equal_reads(config, genes(11, 150), 11, None)


def test_gich_is_read_on_the_debug_plane_only() -> None:
    """No guest reaches GICH: its registers are seen by DEBUG reads and say what the list registers hold."""
    domain = Domain(DomainConfig(lrs=4))
    for row in GICH.rows:
        for offset in range(row.offset, row.offset + row.length, 4):
            assert not isinstance(answer(domain, op.Read(0, op.Space.GICH, offset, 4, op.Plane.DEBUG)), Refusal)
