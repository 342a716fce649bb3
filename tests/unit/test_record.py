# SPDX-License-Identifier: GPL-2.0-or-later
"""The record's text: what is written is read again, and nothing else is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.folder import open_folder
from mptcp_hooks.base.model import (
    LEAVING,
    Installed,
    Limits,
    LimitsRecord,
    Path as UplinkPath,
    Stanza,
)
from mptcp_hooks.engine.record import Store

PATH = UplinkPath("eth0:1", "eth0", 2, 4, "10.1.1.2", "", "", False, True, 101, True, False,
                  ("subflow", "backup"), (("10.5.0.0/16", "10.1.1.9"), ("10.6.0.0/16", "")),
                  wide=True, mark="0x1/0xff", sources=("10.7.0.0/16", "10.8.0.9/32"),
                  announced=("203.0.113.9",))
INSTALLED = Installed(PATH, ("ip -4 rule add x", "ip -4 rule add y"), ("ip -4 rule del x",),
                      "([(1, None)], [])")
STANZAS = (
    Stanza(("IFACE=eth0:1", "IF_MPTCP_X=a\nb\\n c\\", "IF_Y=é\udcff"), (INSTALLED, INSTALLED)),
    Stanza(("IFACE=eth0:1",), (), LEAVING),
    Stanza((), ()),
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(open_folder(str(tmp_path), lock=True))


def test_what_is_saved_is_loaded(store: Store, tmp_path: Path) -> None:
    store.save("eth0:1", STANZAS)
    assert store.load("eth0:1") == STANZAS
    assert store.list_interfaces() == ["eth0:1"]
    store.save("eth0:1", ())
    assert os.listdir(tmp_path) == [".lock"]
    assert store.load("eth0:1") == ()


def test_limits(store: Store) -> None:
    limits = LimitsRecord(Limits(2, 0), Limits(3, 3), ("eth0 10.1.1.2", "eth1 fd00::2"),
                          ("ip mptcp limits set subflows 2 add_addr_accepted 0",))
    store.save_limits(limits)
    assert store.load_limits() == limits
    store.save_limits(None)
    assert store.load_limits() is None


def test_every_truncation_is_noticed(store: Store, tmp_path: Path) -> None:
    store.save("eth0:1", STANZAS)
    whole = (tmp_path / "eth0:1.paths").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "eth0:1.paths").write_bytes(whole[:length])
        folder = open_folder(str(tmp_path), lock=False)
        cut = Store(folder)
        assert not any(one.up for stanza in cut.load("eth0:1") for one in stanza.paths)
        folder.close()
        assert cut.damaged == (("eth0:1", f"{tmp_path}/eth0:1.paths is damaged"),)


def test_reading_only_never_writes(tmp_path: Path) -> None:
    store = Store(open_folder(str(tmp_path), lock=False))
    with pytest.raises(Problem, match="reading only"):
        store.save("eth0", STANZAS)
    assert Store(open_folder(str(tmp_path / "none"), lock=False)).load("eth0") == ()
