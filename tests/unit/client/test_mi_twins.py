"""The blocking and the trio gdb client are one interface."""

from __future__ import annotations

import inspect

from vgicd_client import gdbmi, gdbmi_sync, mi_calls

OWN = {"close"}  # of the blocking one; a trio client ends with its block


def public(kind: type) -> dict[str, inspect.Signature | None]:
    return {
        name: inspect.signature(member) if callable(member) else None
        for name, member in inspect.getmembers(kind)
        if not name.startswith("_")
    }


def test_both_have_the_same_methods_with_the_same_parameters() -> None:
    trio, blocking = public(gdbmi.Gdb), public(gdbmi_sync.Gdb)
    assert set(blocking) - set(trio) == OWN
    assert set(trio) <= set(blocking)
    for name, signature in trio.items():
        twin = blocking[name]
        assert (signature is None) == (twin is None), name
        if signature is not None and twin is not None:
            assert signature.parameters == twin.parameters, name


def test_both_export_the_same_names() -> None:
    assert gdbmi.__all__ == gdbmi_sync.__all__


def test_every_call_is_a_method_with_its_docstring() -> None:
    for name, call in vars(mi_calls).items():
        if inspect.isgeneratorfunction(call) and not name.startswith("_") and name not in ("prepare", "interrupt"):
            for kind in (gdbmi.Gdb, gdbmi_sync.Gdb):
                assert getattr(kind, name).__doc__ == call.__doc__
                assert call.__doc__
