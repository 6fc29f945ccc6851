"""Variant correct in automatic mode: what the guest sees is what brute force makes of the interrupts' state.

Between operations nothing may be stale: every interrupt is on the list where it is wanted, and every output and every
answer of IAR and HPPIR follows from the interrupts alone, however many list registers there are.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given

from tests.property import invariants
from tests.property.budget import QUICK, THOROUGH
from tests.property.ops import Script, configs, genes, runs
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain


def follow(config: DomainConfig, run: Iterable[int]) -> None:
    domain = Domain(config)
    script = Script(config, modes=False, noise=False)
    for number, (operation, result) in enumerate(script.play(domain, run)):
        try:
            invariants.check_structure(domain)
            invariants.check_software_list_registers(domain)
            invariants.check_nothing_is_forgotten(domain)
            invariants.check_signals(domain)
            invariants.check_live_registers(domain)
        except Exception as failure:
            failure.add_note(f"after operation {number} of {config}: {operation} -> {result}")
            raise


automatic = configs(variants=("correct",), profiles=("virt", "xen-guest"), lrs=(1, 2, 2, 4, 16))


@given(config=automatic, run=runs())
@QUICK
def test_outputs_and_acknowledge_equal_brute_force(config: DomainConfig, run: list[int]) -> None:
    """Guards the update after EOI (vcml #36), the source in HPPIR (QEMU #4402) and every kick of spec 2.6."""
    follow(config, run)


@pytest.mark.long
@given(config=automatic, run=runs(size=120))
@THOROUGH
def test_outputs_and_acknowledge_equal_brute_force_for_long(config: DomainConfig, run: list[int]) -> None:
    follow(config, run)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(8))
def test_outputs_and_acknowledge_equal_brute_force_through_a_soak(seed: int) -> None:
    config = DomainConfig(
        vcpus=(1, 2, 4, 8)[seed % 4],
        lrs=(1, 2, 4, 16)[seed // 2 % 4],
        profile=("virt", "xen-guest")[seed % 2],
    )
    follow(config, genes(seed, 2_000))
