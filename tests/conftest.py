"""For every test: tests in this process judge the sources, whatever has been compiled from them.

Machine code ignores monkeypatches and would hide which lines ran. The core is imported here, before any test module
can ask for the compiled one; daemons that tests start are processes of their own and run as they would for users.

Signals are as for a program in the foreground: who runs the tests in the background or under nohup has some ignored,
and so would be what is tested.
"""

from __future__ import annotations

import signal
import threading

import vgicd.domain.domain  # noqa: F401

if threading.current_thread() is threading.main_thread():
    for number, action in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, action)
