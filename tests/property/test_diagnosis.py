"""`monitor why N` in any state: it says delivered iff GICC_IAR would answer N, and its mending brings N there.

Several causes may hide one another, so that the mending of those that were found uncovers more.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.property.budget import BRIEF, THOROUGH
from tests.property.ops import Refusal, Script, answer, configs, genes, runs, snapshot
from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.domain.errors import Code
from vgicd.gdbstub.diagnosis import Diagnosis, diagnose, explain
from vgicd.gdbstub.text import WIDTH

ROUNDS = 96
"""Every interrupt in the way may need one: with one list register it hides the next."""


def played(config: DomainConfig, run: list[int]) -> Domain:
    domain = Domain(config)
    for _ in Script(config).play(domain, run):
        pass
    return domain


def answered(domain: Domain, vcpu: int) -> int | None:
    """The INTID that GICC_IAR would answer, None while the vCPU is outside the guest."""
    if not domain.vgic.vcpus[vcpu].inside:
        return None
    return int(domain.apply(op.Read(vcpu, op.Space.GICC, 0xC, 4, op.Plane.DEBUG)).value) & 0x3FF


def looked_at(domain: Domain, intid: int, vcpu: int | None) -> Diagnosis:
    """The diagnosis, which has changed nothing, is said in lines of bearable length, and is right in its verdict."""
    before = (domain.order, snapshot(domain), dict(domain.faults))
    found = diagnose(domain, intid, vcpu)
    said = explain(domain, intid, vcpu)
    assert (domain.order, snapshot(domain), dict(domain.faults)) == before
    assert max(map(len, said)) <= WIDTH
    assert found.delivered == (answered(domain, found.vcpu) == intid), "\n".join(said)
    assert found.delivered or found.causes, "\n".join(said)
    return found


def bring_in(domain: Domain, intid: int, vcpu: int | None) -> None:
    """Apply what diagnoses say until the interrupt is signalled."""
    history = []
    for _ in range(ROUNDS):
        found = looked_at(domain, intid, vcpu)
        if found.delivered:
            return
        history += [*explain(domain, intid, vcpu), ""]
        assert found.mend, "\n".join(history)
        for operation in found.mend:
            result = answer(domain, operation)
            if isinstance(result, Refusal):
                assert result.code == Code.FATAL_ASSERTION, f"{operation}\n" + "\n".join(history)
                return  # Xen stops here: nobody can help it
    raise AssertionError("\n".join(history))


def chosen(config: DomainConfig, gene: int) -> tuple[int, int | None]:
    """An interrupt, and the vCPU asked about or None."""
    intids = [0, 1, 16, 27, 30, 31, 32, 33, 34, 35]
    return intids[gene % len(intids)], [None, *range(config.vcpus)][gene // len(intids) % (config.vcpus + 1)]


IDLE_EOIS_IGNORED = DomainConfig(vcpus=3, lrs=1, spis=32, eoi_when_idle="ignore")
CORRECT = configs(variants=("correct",), vcpus=(1, 2, 3), lrs=(1, 2, 4))


@BRIEF
@example(IDLE_EOIS_IGNORED, [16, 159, 33359, 15864550, 2706872], 432)
@given(CORRECT, runs(), st.integers(0, 1000))
def test_what_it_says_to_do_brings_the_interrupt_in(config: DomainConfig, run: list[int], gene: int) -> None:
    bring_in(played(config, run), *chosen(config, gene))


@pytest.mark.long
@THOROUGH
@given(CORRECT, runs(size=150), st.integers(0, 1000))
def test_what_it_says_to_do_brings_the_interrupt_in_thoroughly(config: DomainConfig, run: list[int], gene: int) -> None:
    bring_in(played(config, run), *chosen(config, gene))


@BRIEF
@given(configs(vcpus=(1, 2, 3)), runs(), st.integers(0, 1000))
def test_its_verdict_is_right_and_it_changes_nothing_in_either_variant(
    config: DomainConfig, run: list[int], gene: int
) -> None:
    looked_at(played(config, run), *chosen(config, gene))


@pytest.mark.parametrize("seed", range(4))
def test_a_small_busy_domain_is_explained(seed: int) -> None:
    """Where list registers overflow and everything nests, drawn from one seed."""
    config = DomainConfig(vcpus=2, spis=32, lrs=1, profile="trace" if seed % 2 else "virt")
    for index in range(10):
        bring_in(played(config, list(genes(100 * seed + index, 120))), *chosen(config, 7 * seed + index))
