# SPDX-License-Identifier: GPL-2.0-or-later
"""What answers in the VM that boots: runs each command that comes, in a shell, as root.

It reads and writes lines of JSON at a virtio port: a number and a command come in, the number, its
exit status and what it printed go out.
"""

from __future__ import annotations

import json
import subprocess
import time

_PORT = "/dev/virtio-ports/agent"


def main() -> None:
    rest = b""
    with open(_PORT, "r+b", buffering=0) as port:
        while True:
            part = port.read(65536)
            if not part:
                # Nobody is at the other end.
                time.sleep(0.1)
                continue
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                number, command = json.loads(line)
                port.write(json.dumps((number, *_run(command))).encode() + b"\n")


def _run(command: str) -> tuple[int, str]:
    done = subprocess.run(["sh", "-c", command], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


if __name__ == "__main__":
    main()
