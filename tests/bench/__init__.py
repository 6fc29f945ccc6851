"""The benchmark: vgicd against QEMU's qtest server and a C echo, by ratios of the same run.

`python -m tests.bench` measures everything; `python -m tests.bench.inprocess` only the domain, without a socket.
"""

from vgicd import compiled

compiled.use()  # as the daemon does
