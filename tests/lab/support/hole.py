# SPDX-License-Identifier: GPL-2.0-or-later
"""A provider that is silent for seconds while somebody connects."""

from __future__ import annotations

import sys
import time

from tests.lab.support.boxes import block, remove_boxes
from tests.lab.support.lab import SERVER_4, Lab


class Hole:
    """The provider of eth0 is silent while somebody connects, for so many seconds."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def be(self, seconds: float, mptcp: bool = True) -> None:
        block(self._lab, 0, "drop")
        receiver = self._lab.begin_receiving()
        sender = self._lab.client.start(sys.executable, "-c", (
            "import socket\n"
            f"s = socket.socket(2, 1, {262 if mptcp else 6})\n"
            f"s.connect(('{SERVER_4}', 5001))\ns.send(b'x')\n"))
        time.sleep(seconds)
        remove_boxes(self._lab)
        assert sender.wait(30) == 0
        receiver.communicate(timeout=30)

    def count(self) -> int:
        """How often the kernel turned MPTCP off."""
        return int(self._lab.client.run("nstat", "-az", "MPTcpExtBlackhole").split()[-2])
