"""The short ways to an operation are the operation: prepared accesses, and many applied as one."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import pytest
from hypothesis import given

from tests.property.budget import QUICK, THOROUGH
from tests.property.ops import Operation, Refusal, Script, answer, configs, genes, runs, snapshot
from vgicd.domain import operations as op
from vgicd.domain.atomic import Refused, apply_all
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain


def key_of(operation: Operation) -> Hashable:
    """An access or line without its value: what is prepared once and used again."""
    if isinstance(operation, op.Write):
        return operation._replace(value=0)
    if isinstance(operation, op.Line):
        return operation._replace(level=0)
    return operation


def value_of(operation: Operation) -> int:
    return getattr(operation, "value", getattr(operation, "level", 0))


def prepared_against_apply(config: DomainConfig, run: Iterable[int], script: Script | None = None) -> int:
    """Returns how many operations went the prepared way."""
    script = script or Script(config)
    plain, quick = Domain(config), Domain(config)
    taken = 0
    for number, (operation, result) in enumerate(script.play(plain, run)):
        note = f"operation {number} of {config}: {operation}"
        short = None
        if isinstance(operation, op.Read | op.Write | op.Line):
            prepared = quick.prepared.get(key_of(operation))
            short = prepared(value_of(operation)) if prepared is not None else None
        if short is None:
            assert answer(quick, operation) == result, note
            came_through = isinstance(result, op.Result) and not result.fault
            if isinstance(operation, op.Read | op.Write | op.Line) and came_through:
                quick.prepare(key_of(operation), operation)
        else:
            taken += 1
            assert isinstance(result, op.Result), note
            assert (short, quick.order, quick.outputs) == (result.value or 0, result.order, result.outputs), note
            assert not result.fault, note
        assert snapshot(quick) == snapshot(plain), note
    return taken


@given(config=configs(profiles=("virt", "xen-guest")), run=runs())
@QUICK
def test_a_prepared_access_is_the_access(config: DomainConfig, run: list[int]) -> None:
    prepared_against_apply(config, run)


@pytest.mark.long
@given(config=configs(), run=runs(size=120))
@THOROUGH
def test_a_prepared_access_is_the_access_for_long(config: DomainConfig, run: list[int]) -> None:
    prepared_against_apply(config, run)


def test_a_prepared_access_is_the_access_in_a_soak() -> None:
    """A run long enough that most operations come again: the short way is really taken."""
    config = DomainConfig(vcpus=2, lrs=2)
    taken = prepared_against_apply(config, genes(3, 1500), Script(config, modes=False, noise=False))
    assert taken > 500


def vectors_against_apply(config: DomainConfig, run: Iterable[int]) -> None:
    """Cut a run into vectors of accesses and lines; each is applied as one and one by one."""
    single, whole = Domain(config), Domain(config)
    waiting: list[Operation] = []
    results: list[op.Result | Refusal] = []

    def flush() -> None:
        before, order = snapshot(whole), whole.order
        refused = [index for index, result in enumerate(results) if isinstance(result, Refusal)]
        if not refused:
            assert apply_all(whole, waiting) == results
        else:
            with pytest.raises(Refused) as raised:
                apply_all(whole, waiting)
            expected = results[refused[0]]
            assert (raised.value.index, raised.value.reason.code) == (refused[0], expected[0])
            assert (snapshot(whole), whole.order) == (before, order)
            for operation, result in zip(waiting, results, strict=True):
                assert answer(whole, operation) == result
        waiting.clear()
        results.clear()

    for operation, result in Script(config).play(single, run):
        if isinstance(operation, op.Read | op.Write | op.Line):
            waiting.append(operation)
            results.append(result)
            if len(waiting) == 16:
                flush()
                assert snapshot(whole) == snapshot(single)
        else:
            flush()
            assert answer(whole, operation) == result
            assert snapshot(whole) == snapshot(single)
    flush()
    assert snapshot(whole) == snapshot(single)


@given(config=configs(), run=runs())
@QUICK
def test_a_vector_is_its_operations_or_nothing(config: DomainConfig, run: list[int]) -> None:
    vectors_against_apply(config, run)


@pytest.mark.long
@given(config=configs(), run=runs(size=120))
@THOROUGH
def test_a_vector_is_its_operations_or_nothing_for_long(config: DomainConfig, run: list[int]) -> None:
    vectors_against_apply(config, run)
