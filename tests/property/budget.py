"""How hard hypothesis looks: briefly in the ordinary suite, long under the marker `long`.

Every failure is printed with the blob that reproduces it; examples are not taken from the clock or a database, so that
two runs of one tree look at the same ones.
"""

from __future__ import annotations

from typing import Final

from hypothesis import HealthCheck, Phase, settings

_COMMON: Final = {
    "deadline": None,  # a loaded machine is no failure
    "derandomize": True,
    "database": None,
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
    "phases": [Phase.explicit, Phase.generate, Phase.shrink],
}
BRIEF: Final = settings(max_examples=25, **_COMMON)
QUICK: Final = settings(max_examples=60, **_COMMON)
THOROUGH: Final = settings(max_examples=250, **_COMMON)
