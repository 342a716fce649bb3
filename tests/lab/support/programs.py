# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's packages in a layer of their own: programs for the lab that the machine does not have.

apt downloads them once into build/packages and installs them into a host without a
network, from which nothing reaches the machine. A layer may replace what is installed
here (ifupdown2 for ifupdown, say).

`without` are dependencies that a host can do without, as udev, which would have
all of systemd upgraded: then nothing that is installed here is touched, and dpkg
takes what is missing.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.lab.support.lab import (
    Host,
    make_scratch,
    open_layer,
    remove_scratch,
    spare_manual_index,
)

ARCHIVES = Path(__file__).parents[3] / "build" / "packages"

_NO_SERVICES = "/usr/sbin/policy-rc.d"
_ENVIRONMENT = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}


class NoSuchPackage(Exception):
    """This Debian release has no package of that name."""


class Programs:
    """Packages and what they depend on, installed into a layer that hosts lie over the machine."""

    def __init__(self, packages: tuple[str, ...], without: tuple[str, ...] = ()) -> None:
        download(packages)
        self.scratch = make_scratch()
        host = Host(self.scratch, ())
        try:
            _install(host, packages, without)
        except BaseException:
            self.close()
            raise
        finally:
            host.close()
        self.layer = open_layer(self.scratch)

    def close(self) -> None:
        remove_scratch(self.scratch)


def is_known(package: str) -> bool:
    """Whether this Debian release has a package; one that others only name is shown as nothing."""
    return bool(_run_here(["apt-cache", "show", package]).stdout)


def download(packages: tuple[str, ...]) -> None:
    """Have the packages in build/packages; NoSuchPackage names the one that is in no list."""
    (ARCHIVES / "partial").mkdir(parents=True, exist_ok=True)
    order = [*_order(packages), "--download-only"]
    if _run_here(order).returncode == 0:
        return
    updated = _run_here(["apt-get", "update"])
    for package in packages:
        if updated.returncode == 0 and not is_known(package):
            raise NoSuchPackage(package)
    done = _run_here(order)
    assert done.returncode == 0, f"{order}\n{updated.stderr}{done.stdout}{done.stderr}"


def _order(packages: tuple[str, ...]) -> list[str]:
    """Another apt on the machine is waited for: dpkg's lock is taken even to download."""
    return ["flock", str(ARCHIVES), "apt-get", "install", "-y", "--no-install-recommends", "-o",
            f"Dir::Cache::archives={ARCHIVES}", "-o", "DPkg::Lock::Timeout=300", *packages]


def _run_here(order: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(order, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env=_ENVIRONMENT)


def _install(host: Host, packages: tuple[str, ...], without: tuple[str, ...]) -> None:
    host.run("sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' >{_NO_SERVICES}")
    host.run("chmod", "755", _NO_SERVICES)
    spare_manual_index(host)
    if not without:
        host.run(*_order(packages), "--no-download", env=_ENVIRONMENT)
        return
    plan = host.run(*_order(packages), "--simulate", env=_ENVIRONMENT)
    archives = _find_archives(plan, without)
    if archives:
        host.run("dpkg", "--force-depends", "--install", *archives, env=_ENVIRONMENT)


def _find_archives(plan: str, without: tuple[str, ...]) -> list[str]:
    """What apt would install anew, as `Inst NAME (VERSION ... [ARCHITECTURE])` says."""
    news = re.findall(r"^Inst (\S+) \((\S+) .*\[(\S+)\]\)", plan, re.MULTILINE)
    return [str(ARCHIVES / f"{name}_{version.replace(':', '%3a')}_{architecture}.deb")
            for name, version, architecture in news if name not in without]
