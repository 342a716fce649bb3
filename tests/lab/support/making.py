# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests run on, made of packages: labs and single hosts, closed by who made them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.support.booted import CannotBoot
from tests.lab.support.lab import Host, Installation, Lab, LoneHost, OnMachine


class Maker:
    """What it makes lies over the machine in layers: ours, and those of `programs`."""

    def __init__(
        self, installation: Installation | OnMachine, programs: Callable[..., Path]
    ) -> None:
        self._installation = installation
        self._programs = programs
        self._made: list[Lab | LoneHost] = []
        self._is_kept = False

    def keep(self) -> list[tuple[str, Host]]:
        """Have `close` leave the hosts as they are: all that were made, with their names."""
        self._is_kept = True
        return [named for made in self._made for named in made.hosts.items()]

    def close(self) -> None:
        while self._made:
            made = self._made.pop()
            if self._is_kept:
                made.leave()
            else:
                made.close()

    def _find_layers(
        self, packages: tuple[str, ...], without: tuple[str, ...] = (), installed: bool = True
    ) -> tuple[Path, ...]:
        ours = (self._installation.layer,) if installed else ()
        return (*ours, *([self._programs(*packages, without=without)] if packages else ()))


class MakeLab(Maker):
    def __call__(
        self, *packages: str, without: tuple[str, ...] = (), routers: tuple[str, ...] = (),
        server: tuple[str, ...] = (), installed: bool = True, client: type[Host] = Host,
        server_kind: type[Host] = Host,
    ) -> Lab:
        """A lab with Debian's packages and ours on its client.

        `without` are dependencies that client and server do without, see programs.py; without ours
        the client is where it is not `installed`. `routers` are the packages of each router;
        `server` those of the server, which has ours then too. A host that cannot boot skips the
        test.
        """
        if not installed and isinstance(self._installation, OnMachine):
            pytest.skip("the test needs a client without the package, which the machine has")
        try:
            lab = Lab(
                self._find_layers(packages, without, installed), client=client, server=server_kind,
                router_layers=self._find_layers(routers, installed=False) or None,
                server_layers=self._find_layers(server, without) if server else None)
        except CannotBoot as reason:
            pytest.skip(f"no booted host: {reason}")
        self._made.append(lab)
        return lab


class MakeHost(Maker):
    def __call__(self, *packages: str) -> Host:
        """A host without any link, with Debian's packages and ours."""
        host = LoneHost(self._find_layers(packages))
        self._made.append(host)
        return host
