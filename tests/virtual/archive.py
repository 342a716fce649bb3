# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages of another Debian release, unpacked below build/archive and never installed.

apt brings them, with a state of its own, from the mirror that this machine's apt
has Debian's archive from: what apt knows about this machine's release stays as it is,
and the signature of the other one is checked all the same.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ARCHIVE = Path(__file__).parents[2] / "build" / "archive"
_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_ENVIRONMENT = {**os.environ, "LC_ALL": "C"}


class Unavailable(Exception):
    """A package, or a whole release, cannot be had here; one line says why."""


def fetch(suite: str, *packages: str) -> Path:
    """The folder into which these packages of a release are unpacked, all of them together.

    It is made once. Packages that link into each other's files, as Debian's Go does, belong
    into one call.
    """
    folder = _ARCHIVE / suite / "unpacked" / "+".join(packages)
    with _hold(suite):
        if not folder.exists():
            _unpack(suite, packages, folder)
    return folder


def find_dependency(suite: str, package: str, pattern: str) -> str:
    """The first package whose name matches that a package of a release depends on.

    Debian's linux-image-amd64 is such a package: what it depends on has the kernel.
    """
    for name in list_dependencies(suite, package, pattern):
        return name
    raise Unavailable(f"{package} of {suite} depends on nothing like {pattern}")


def list_dependencies(suite: str, package: str, pattern: str) -> list[str]:
    """The packages whose names match that a package of a release depends on."""
    with _hold(suite):
        shown = _ask(suite, _ARCHIVE / suite, "apt-cache", "show", "--no-all-versions", package)
    return [name for names in re.findall(r"^Depends: (.*)$", shown, re.MULTILINE)
            for name in re.findall(r"[a-z0-9][a-z0-9.+-]+(?=[ ,:]|$)", names)
            if re.fullmatch(pattern, name)]


@contextmanager
def _hold(suite: str) -> Iterator[None]:
    """Keep other processes, tests that run at the same time, from this release's folder."""
    folder = _ARCHIVE / suite
    for name in ("state/lists/partial", "cache/archives/partial", "unpacked"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unpack(suite: str, packages: tuple[str, ...], folder: Path) -> None:
    """Unpack beside the folder and rename, so that a folder that exists is whole."""
    with tempfile.TemporaryDirectory(dir=_ARCHIVE / suite, prefix="unpack-") as scratch:
        _ask(suite, Path(scratch), "apt-get", "download", *packages)
        fresh = Path(scratch, "fresh")
        fresh.mkdir()
        for archive in sorted(Path(scratch).glob("*.deb")):
            done = _run(["dpkg", "-x", str(archive), str(fresh)], Path(scratch))
            if done.returncode:
                raise Unavailable(f"dpkg -x {archive.name}: {_first_line(done.stderr)}")
        fresh.rename(folder)


def _ask(suite: str, folder: Path, *order: str) -> str:
    """What an apt command prints. Where it fails, its lists are missing or old: they are brought.

    Mirrors drop a package as soon as there is a newer one.
    """
    done = _run_apt(suite, folder, *order)
    if done.returncode:
        updated = _update(suite)
        done = _run_apt(suite, folder, *order)
        if done.returncode:
            reason = _first_line(updated.stderr) or _first_line(done.stderr)
            raise Unavailable(f"{' '.join(order)} (of {suite}): {reason}")
    return done.stdout


def _update(suite: str) -> subprocess.CompletedProcess[str]:
    folder = _ARCHIVE / suite
    signed = f"[signed-by={_KEYS}] " if _KEYS.exists() else ""
    (folder / "sources.list").write_text(f"deb {signed}{_find_mirror()} {suite} main\n")
    return _run_apt(suite, folder, "apt-get", "-qq", "-o", "APT::Update::Error-Mode=any", "update")


def _find_mirror() -> str:
    """Where this machine has Debian's main archive from."""
    done = _run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages",
                 "Origin: Debian", "Label: Debian"], Path("/"))
    if not done.stdout:
        raise Unavailable("apt has no lists of Debian's archive here, apt-get update brings them")
    return done.stdout.splitlines()[0]


def _run_apt(suite: str, folder: Path, *order: str) -> subprocess.CompletedProcess[str]:
    """Run an apt program for a release. An empty status is that of a machine without packages.

    Downloads are root's, as folders below a home directory are often closed to apt's own user.
    """
    program, *arguments = order
    own = _ARCHIVE / suite
    (own / "status").touch()
    settings = (f"Dir::State={own / 'state'}", f"Dir::State::status={own / 'status'}",
                f"Dir::Cache={own / 'cache'}", f"Dir::Etc::sourcelist={own / 'sources.list'}",
                "Dir::Etc::sourceparts=/dev/null", "Dir::Etc::preferences=/dev/null",
                "Dir::Etc::preferencesparts=/dev/null", "APT::Sandbox::User=root")
    options = [word for setting in settings for word in ("-o", setting)]
    return _run([program, *options, *arguments], folder)


def _run(order: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(order, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              cwd=folder, env=_ENVIRONMENT)
    except FileNotFoundError:
        raise Unavailable(f"{order[0]} is not installed") from None


def _first_line(errors: str) -> str:
    return errors.strip().partition("\n")[0]
