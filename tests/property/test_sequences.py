"""Any sequence of operations keeps the invariants, and is refused or applied as a whole.

The ordinary suite lets hypothesis look for short counterexamples; the tests marked `long` follow single seeds for
many thousand operations.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given

from tests.property import invariants
from tests.property.budget import QUICK, THOROUGH
from tests.property.ops import Operation, Refusal, Script, configs, genes, runs, snapshot
from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain

UNCHANGING = (
    op.LrGet,
    op.IrqInfo,
    op.Dump,
    op.Snapshot,
    op.Stats,
    op.PendingCheck,
    op.EventChannelPending,
    op.HwDesc,
)


def changes_nothing(operation: Operation) -> bool:
    """An operation of these kinds has no order number of its own."""
    looks = isinstance(operation, op.Read) and operation.plane != op.Plane.GUEST
    return looks or isinstance(operation, UNCHANGING)


def follow(config: DomainConfig, run: Iterable[int], *, restores: bool = True, every: int = 1) -> Domain:
    """Apply `run` and check after every operation what holds in every mode and variant.

    The whole state is compared around each refused or unchanging operation; around the others, its order number.
    """
    domain = Domain(config)
    before, order = snapshot(domain), domain.order
    script = Script(config, restores=restores)
    for number, (operation, result) in enumerate(script.play(domain, run)):
        try:
            if isinstance(result, Refusal) or changes_nothing(operation):
                assert domain.order == order, "an operation that changed nothing took an order number"
                if number % every == 0:
                    assert snapshot(domain) == before, "an operation that must change nothing changed the state"
            else:
                assert domain.order == order + 1 == result.order
                assert result.outputs == domain.outputs
                order = domain.order
                before = snapshot(domain)
            domain.check_invariants()
            invariants.check_structure(domain)
        except Exception as failure:
            failure.add_note(f"after operation {number} of {config}: {operation} -> {result}")
            raise
    return domain


@given(config=configs(), run=runs())
@QUICK
def test_any_run_keeps_the_invariants(config: DomainConfig, run: list[int]) -> None:
    """I1 to I4; a refusal leaves everything as it was (spec 1.8)."""
    follow(config, run)


@pytest.mark.long
@given(config=configs(lrs=(1, 2, 3, 4, 16, 64), vcpus=(1, 2, 3, 4, 8), spis=(0, 32, 64, 96)), run=runs(size=120))
@THOROUGH
def test_any_long_run_keeps_the_invariants(config: DomainConfig, run: list[int]) -> None:
    follow(config, run)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("variant", ["correct", "xen"])
@pytest.mark.parametrize("profile", ["virt", "xen-guest", "trace"])
def test_a_soak_keeps_the_invariants(variant: str, profile: str, seed: int) -> None:
    config = DomainConfig(vcpus=(2, 1, 8, 4)[seed], lrs=(1, 2, 4, 16)[seed], variant=variant, profile=profile)
    follow(config, genes(seed, 1_200), every=7)
