# SPDX-License-Identifier: GPL-2.0-or-later
"""What pppd says of its links: whose they are, and what remains on record after a hangup."""

from __future__ import annotations

from pathlib import Path

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.folder import open_folder
from mptcp_hooks.base.model import Installed, Path as UplinkPath, Stanza
from mptcp_hooks.engine.announced import prepare_hangup
from mptcp_hooks.engine.record import Store
from mptcp_hooks.intent.event import PPPD, announce
from mptcp_hooks.intent.pppd import is_like_vpn, read_interface
from tests.unit.memory import MemoryMachine

PATH_4 = UplinkPath("ppp0", "ppp0", 9, 4, "10.64.2.2", "", "", False, True, 20009, True, False,
                    ("subflow",))
PATH_6 = PATH_4._replace(family=6, address="fd00:64:2::2")
FOUR, SIX = (Installed(path, (), (f"ip -{path.family} rule del x",), "")
             for path in (PATH_4, PATH_6))
STANZA = ("IFACE=ppp0", "IF_MPTCP_FLAGS=backup", "METHOD=ppp")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(open_folder(str(tmp_path), lock=True))


@pytest.mark.parametrize("name", ["", "..", "../eth0", "ppp0;x", "ppp0\n", "p" * 16, "-p"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(Problem, match="IFACE"):
        read_interface({"PPP_IFACE": name, "IFNAME": "ppp0"})


def test_a_name_is_the_one_that_the_scripts_export() -> None:
    assert read_interface({"PPP_IFACE": "ppp0", "IFNAME": "ppp1"}) == "ppp0"
    with pytest.raises(Problem):
        read_interface({"IFNAME": "ppp0"})


@pytest.mark.parametrize("tty, expected", [
    ("/dev/ttyUSB0", False), ("/dev/ttyS1", False), ("eth0", False), ("nic-eth0", False),
    ("/dev/pts/0", True), ("", True)])
def test_what_pppd_speaks_over_tells_a_vpn(tty: str, expected: bool) -> None:
    assert is_like_vpn({"PPP_IFACE": "ppp0", "PPP_TTY": tty}) == expected


def test_of_what_nothing_is_told_nothing_is_supposed() -> None:
    assert not is_like_vpn({"PPP_IFACE": "ppp0"})


def test_a_hangup_takes_one_family_and_what_pppd_told_of_it(store: Store) -> None:
    told_4, told_6 = (announce("ppp0", family, PPPD).told for family in (4, 6))
    store.save("ppp0", (Stanza(told_4, (FOUR,)), Stanza(told_6, (SIX,))))
    hangup = prepare_hangup(store, MemoryMachine(), "ppp0", 4)
    assert hangup.list_lines() == ["ip -4 rule del x"]
    assert hangup.records == (("ppp0", (Stanza(told_6, (SIX,)),)),)


def test_a_hangup_leaves_the_stanza_to_the_next_call(store: Store) -> None:
    store.save("ppp0", (Stanza(STANZA, (FOUR, SIX)),))
    hangup = prepare_hangup(store, MemoryMachine(), "ppp0", 6)
    assert hangup.list_lines() == ["ip -6 rule del x"]
    assert hangup.records == (("ppp0", (Stanza(STANZA, (FOUR,)),)),)


def test_a_hangup_of_what_is_not_on_record_is_nothing(store: Store) -> None:
    hangup = prepare_hangup(store, MemoryMachine(), "ppp0", 4)
    assert (hangup.list_lines(), hangup.records) == ([], ())
