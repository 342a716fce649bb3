# SPDX-License-Identifier: GPL-2.0-or-later
"""The VM's first file system: an archive of the form that the kernel unpacks, cpio's newc.

Its description is Documentation/driver-api/early-userspace/buffer-format.rst in the
kernel's source.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import PurePosixPath


def pack(files: dict[str, bytes]) -> bytes:
    """An archive of these files, all of which can be run, and of the folders they are in."""
    parts = [_make_entry(folder, stat.S_IFDIR | 0o755, b"") for folder in _list_folders(files)]
    parts += [_make_entry(name, stat.S_IFREG | 0o755, content) for name, content in files.items()]
    return b"".join([*parts, _make_entry("TRAILER!!!", 0, b"")])


def _list_folders(files: dict[str, bytes]) -> Iterator[str]:
    """Each folder after the one that it is in, as the kernel makes none by itself."""
    folders = {str(folder) for name in files for folder in PurePosixPath(name).parents}
    yield from sorted(folders - {"."})


def _make_entry(name: str, mode: int, content: bytes) -> bytes:
    """A header of thirteen numbers, a name and a content, each of the two up to a multiple of 4.

    Number zero is the inode's: with one link nothing else refers to it.
    """
    numbers = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name.encode()) + 1, 0)
    header = "070701" + "".join(f"{number:08X}" for number in numbers)
    return _fill(header.encode() + name.encode() + b"\0") + _fill(content)


def _fill(part: bytes) -> bytes:
    return part + b"\0" * (-len(part) % 4)
