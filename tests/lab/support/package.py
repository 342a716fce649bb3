# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages made of ours: a version after it, whose maintainer scripts do more besides."""

from __future__ import annotations

import subprocess
from pathlib import Path

NEWER = "9.9"
# What is said where a removal could not take away all.
RECORD_STAYS = ("mptcp-hooks: what /run/mptcp-hooks tells of stays, until 'mptcp_down --all' of "
                "the package that is installed again, or a purge")


def make_newer(deb: str, folder: Path, **lines: str) -> str:
    """The path of a version after the package's, made in a folder.

    `lines` are put at the beginning of a maintainer script, by the scripts' names.
    """
    tree, made = folder / "tree", folder / f"mptcp-hooks_{NEWER}_all.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True)
    control = tree / "DEBIAN/control"
    fields = control.read_text().splitlines(keepends=True)
    control.write_text("".join(f"Version: {NEWER}\n" if field.startswith("Version: ") else field
                               for field in fields))
    for name, text in lines.items():
        script = tree / "DEBIAN" / name
        first, _, rest = script.read_text().partition("\n")
        script.write_text(f"{first}\n{text}\n{rest}")
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", "-Znone", tree, made],
                   check=True, capture_output=True)
    return str(made)
