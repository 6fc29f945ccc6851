"""A request's declaration as a client's method: same name, same parameters, same promise."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

C = TypeVar("C", bound=Callable[..., Any])


def as_method(build: Callable[..., Any], call: C) -> C:
    """`call`, whose first parameter is the client, with the name, the docstring and the parameters of `build`.

    Unlike `functools.wraps` it keeps `self` in the signature, so that a bound method shows all its parameters.
    """
    call.__name__ = build.__name__
    call.__qualname__ = f"Client.{build.__name__}"
    call.__doc__ = build.__doc__
    signature = inspect.signature(build)
    client = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    call.__dict__["__signature__"] = signature.replace(parameters=[client, *signature.parameters.values()])
    return call
