"""For every test: tests in this process judge the sources, whatever has been compiled from them.

Machine code ignores monkeypatches and would hide which lines ran. The core is imported here, before any test module
can ask for the compiled one; daemons that tests start are processes of their own and run as they would for users.
"""

from __future__ import annotations

import vgicd.domain.domain  # noqa: F401
