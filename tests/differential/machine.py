"""A machine that is driven over qtest, whoever serves it: the same addresses, paths and inputs for all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    import socket
    from types import TracebackType

    from tests.differential.qtest import Qtest

SPIS: Final = 256  # of machine `virt`; the inputs of the PPIs follow theirs


class Machine(ABC):
    """`qtest` speaks over `connection`; `gic` and `cpu` (the first) are paths. Leaving the context ends the server."""

    connection: socket.socket
    qtest: Qtest
    gic: str
    cpu: str

    def __init__(self) -> None:
        self._exit = ExitStack()

    @abstractmethod
    def reset(self) -> None:
        """Reset the machine and wait until it is done. Input levels are forgotten: drive them anew."""

    def set_line(self, intid: int, level: int, cpu: int = 0) -> None:
        """Drive the input of an SPI, or of a PPI of `cpu`."""
        index = intid - 32 if intid >= 32 else SPIS + 32 * cpu + intid
        self.qtest.set_line(self.gic, index, level)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()
