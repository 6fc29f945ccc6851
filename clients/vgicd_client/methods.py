"""A request's declaration as a client's method: same name, same parameters, same promise."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import NoneType
from typing import Any, TypeVar, get_args

C = TypeVar("C", bound=Callable[..., Any])


def as_method(build: Callable[..., Any], call: C, owner: str = "Client") -> C:
    """`call`, whose first parameter is the client, with the name, the docstring and the parameters of `build`.

    Unlike `functools.wraps` it keeps `self` in the signature, so that a bound method shows all its parameters; and
    what it shows to be returned is the answer, not the `Request` (or the script of steps) that `build` makes: the last
    type in the brackets of that.
    """
    call.__name__ = build.__name__
    call.__qualname__ = f"{owner}.{build.__name__}"
    call.__doc__ = build.__doc__
    signature = inspect.signature(build, eval_str=True)
    client = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    *_, answer = get_args(signature.return_annotation)
    answer = None if answer is NoneType else answer  # as people write it
    parameters = [client, *signature.parameters.values()]
    call.__dict__["__signature__"] = signature.replace(parameters=parameters, return_annotation=answer)
    annotated = {name: p.annotation for name, p in signature.parameters.items()}
    call.__annotations__ = {**annotated, "return": answer}
    return call
