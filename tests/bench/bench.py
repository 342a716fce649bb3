"""`make bench`: the installed hooks against their peers, in a lab of one client."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.lab.lab import Installation, Lab, find_obstacles


def main(deb: Path) -> int:
    obstacles = find_obstacles()
    if obstacles:
        sys.exit(f"make bench: cannot build the lab: {obstacles}")
    installation = Installation(deb)
    lab = Lab((installation.layer,))
    try:
        measure = Path(__file__).with_name("measure.py")
        command = ["nsenter", "-t", str(lab.client.pid), "-n", "-m", "--", sys.executable, "-B"]
        return subprocess.run([*command, str(measure)]).returncode
    finally:
        lab.close()
        installation.close()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
