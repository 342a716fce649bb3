# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine with two cards from its boot to its shutdown: init, udev, ifupdown, all of Debian's.

It is the one thing that namespaces cannot show. Emulated, so it takes minutes.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.support.lab import SERVER_4, TRANSFER, Lab
from tests.lab.support.waiting import wait_for
from tests.virtual.archive import Unavailable
from tests.virtual.booted import Booted
from tests.virtual.disk import make_disk
from tests.virtual.process1 import find_init

pytestmark = pytest.mark.boot

_ROOT = Path(__file__).parents[2]
_SCRATCH = _ROOT / "build" / "virtual"
_BOOTS, = re.findall("^BOOTS = (.*)$", (_ROOT / "Makefile").read_text(), re.MULTILINE)
_STANZAS = """\
auto lo
iface lo inet loopback
auto ens5
iface ens5 inet static
    address 10.1.1.2/24
    gateway 10.1.1.1
allow-hotplug ens6
iface ens6 inet static
    address 10.1.2.2/24
    mptcp-gateway 10.1.2.1
"""
_BOTH = ["10.1.1.2 ens5", "10.1.2.2 ens6"]
_SIZE = 1_000_000
_LONG = 300.0


@pytest.fixture(params=_BOOTS.split())
def booted(request: pytest.FixtureRequest, deb: str, lab: Lab) -> Iterator[Booted]:
    """A VM in the place of the lab's client."""
    _SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_SCRATCH) as name:
        try:
            disk = make_disk(Path(deb), request.param, Path(name), {
                "/etc/network/interfaces": _STANZAS,
                "/root/transfer.py": Path(TRANSFER).read_text()})
        except Unavailable as reason:
            pytest.skip(str(reason))
        machine = Booted(lab.client, disk, find_init(request.param), Path(name))
        yield machine
        machine.close()


def _list_endpoints(booted: Booted) -> list[str]:
    rows = json.loads(booted.run("ip -j mptcp endpoint") or "[]")
    return sorted(f"{row['address']} {row.get('dev')}" for row in rows)


def _wait_for(booted: Booted, endpoints: list[str]) -> None:
    wait_for(lambda: _list_endpoints(booted) == endpoints, _LONG)


def _check_both_paths(booted: Booted, lab: Lab) -> None:
    """A transfer is whole, and each card carried a good part of it."""
    before = lab.count_carried()
    server = lab.server.start("/usr/bin/python3", TRANSFER, "serve", SERVER_4, "5003")
    said = booted.run(f"sleep 2; python3 /root/transfer.py send {SERVER_4} 5003 {_SIZE}")
    server.communicate(timeout=60)
    carried = [now - then for now, then in zip(lab.count_carried(), before)]
    assert json.loads(said)["whole"] and min(carried) > _SIZE / 10, (said, carried)


def test_boot_hotplug_reboot_removal(booted: Booted, lab: Lab) -> None:
    booted.wait_for_boot()
    assert _list_endpoints(booted) == _BOTH
    booted.check_service()
    _check_both_paths(booted, lab)

    booted.unplug(1)
    _wait_for(booted, _BOTH[:1])
    # The endpoint goes with the carrier, the rest when udev has had ifdown run.
    wait_for(lambda: "ens6" not in booted.run("ip rule"), _LONG)
    booted.plug(1)
    _wait_for(booted, _BOTH)
    _check_both_paths(booted, lab)

    booted.run("sed -i '$a mptcp-flags subflow backup' /etc/network/interfaces")
    booted.warn("shutdown")
    booted.reboot()
    booted.wait_for_boot()
    booted.check_service()
    _wait_for(booted, _BOTH)
    assert "backup" in booted.run("ip mptcp endpoint show | grep 10.1.2.2")
    # What the shutdown had to say, and the boot after it.
    assert booted.list_warnings("shutdown") == []
    booted.wait_for_boot()

    booted.run("apt-get remove -y mptcp-hooks")
    assert _list_endpoints(booted) == []
    assert "mptcp" not in booted.run("ip rule; ip route show table all")
    assert booted.run("ping -c 1 -W 30 10.1.1.1")
