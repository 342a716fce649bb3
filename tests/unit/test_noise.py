# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever managers, people and other machines say: a Problem or lines that may run, no third.

What comes is made of the words that are understood, of those that are nearly so, and of noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.line import find_fault
from mptcp_hooks.base.model import Lease
from mptcp_hooks.engine.announced import prepare_lease
from mptcp_hooks.intent import configuration, ifupdown
from mptcp_hooks.intent.configuration import DEFAULT_KEYS, SECTION_KEYS
from mptcp_hooks.intent.event import Event, read_event
from mptcp_hooks.intent.lease import TOLD, is_news, read_lease_event
from mptcp_hooks.intent.settings import NO_CONFIGURATION, OPTIONS, Configuration
from mptcp_hooks.monitor import dhclient
from mptcp_hooks.status.connections import read_connections
from tests.unit.engine import Bench, list_lines, open_bench

_WORDS = (
    "eth0", "eth1", "eth1:1", "inet", "inet6", "inet inet6", "static", "dhcp", "auto", "ppp",
    "10.1.1.2", "10.1.2.2/24", "10.1.2.2", "10.1.2.1", "fd00:2::2/64", "fd00:2::1", "fe80::1",
    "10.1.2.2/33", "0.0.0.0/0", "255.255.255.0", "24", "-1", "0", "1", "4294967296", "0x1/0xff",
    "subflow", "backup", "signal fullmesh", "no", "yes", "off", "default", "203.0.113.9",
    "198.51.100.0/24", "192.0.2.1:53", "https://192.0.2.1/", "10s", "3", "24,10,1,1,10,1,2,1",
    "0,10,1,2,9", "BOUND", "RENEW", "EXPIRE", "ROUTERADVERT", "BOUND6", "bound", "deconfig",
    "; ip route flush table main", "$(reboot)", "../../etc", "eth1 table 254", "\n", "", " ",
    "{{ 7*7 }}", "\udcff", "é", "A" * 5000, "10.1.2.1\nflush", "lookup", "dev", "%s%n")
_OURS = tuple("IF_" + option.upper().replace("-", "_") for option in OPTIONS)
_SAID = ("ADDRFAM", "METHOD", "IF_ADDRESS", "IF_ADDRESSES", "IF_NETMASK", "IF_GATEWAY",
         "IF_GATEWAYS", "IF_POINTOPOINT", "IF_DNS_NAMESERVERS", "IF_MPTCP_NONE", *_OURS)
# No variable has a NUL in it, environ(7).
_noise = st.text(st.characters(blacklist_characters="\0"), max_size=30)
_texts = st.one_of(st.sampled_from(_WORDS), _noise,
                   st.lists(st.sampled_from(_WORDS), max_size=4).map(" ".join))
_interfaces = st.one_of(st.sampled_from(("eth0", "eth1", "eth1:1")), _texts)
# A stanza that is right but for what is put into it.
_usual = {"ADDRFAM": "inet", "METHOD": "static", "IF_ADDRESS": "10.1.2.2", "IF_NETMASK": "24",
          "IF_GATEWAY": "10.1.2.1"}
_changes = st.dictionaries(st.sampled_from(_SAID), _texts, max_size=5)
_stanzas = st.one_of(_changes, _changes.map(lambda changes: {**_usual, **changes}))


def _read_configuration(text: str) -> tuple[Configuration, list[str]]:
    """The configuration of a file with this text, and what is said of it."""
    with mock.patch.object(configuration, "_read_text", lambda: text):
        found, problems = configuration.read_configuration()
    return found, list(map(str, problems))


def _check_lines(bench: Bench, event: Event) -> None:
    """What an event makes are lines of which each may run, or a Problem."""
    try:
        lines = list_lines(bench, [event])
    except Problem as problem:
        _check_said(str(problem))
        return
    assert [find_fault(line) for line in lines] == [""] * len(lines)


def _check_said(text: str) -> None:
    """What a person hears of it is a line, and not a page."""
    assert text and "\n" not in text and len(text) < 2000, text


@given(_interfaces, _stanzas)
def test_an_environment_is_lines_that_may_run_or_a_problem(
    iface: str, stanza: Mapping[str, str]
) -> None:
    try:
        event = read_event({"IFACE": iface, **stanza})
    except Problem as problem:
        _check_said(str(problem))
        return
    if event is not None:
        with open_bench() as bench:
            _check_lines(bench, event)


_keys = st.sampled_from((*DEFAULT_KEYS, *SECTION_KEYS, "flag", "wan*"))
_entries = st.one_of(st.builds("{} = {}".format, _keys, _texts), _texts)
_heads = st.one_of(st.sampled_from(("[default]", "[eth1]", "[eth*]", "[*]", "[", "]", "[]")),
                   st.builds("[{}]".format, _texts))
_files = st.one_of(st.text(max_size=200), st.lists(st.one_of(_heads, _entries), max_size=12).map(
    "\n".join))


@given(_files)
def test_a_configuration_is_lines_that_may_run_or_a_problem(text: str) -> None:
    found, said = _read_configuration(text)
    for line in said:
        _check_said(line)
    event = read_event({"IFACE": "eth1", **_usual})
    assert event is not None
    with open_bench(found) as bench:
        _check_lines(bench, event)


@given(st.dictionaries(st.sampled_from(TOLD), _texts), st.booleans())
def test_a_lease_is_lines_that_may_run_or_a_problem(
    said: Mapping[str, str], is_usual: bool
) -> None:
    usual = {"interface": "eth1", "reason": "BOUND", "new_ip_address": "10.1.2.2"}
    environment = {**usual, **said} if is_usual else said
    if not is_news(environment):
        return
    try:
        read_lease_event(environment)
    except Problem as problem:
        _check_said(str(problem))
        return
    event = read_event({"IFACE": "eth1", "ADDRFAM": "inet", "METHOD": "dhcp"})
    assert event is not None
    with open_bench() as bench:
        bench.up(event)
        with bench.open_store() as store:
            lines = prepare_lease(store, bench.machine, environment,
                                  NO_CONFIGURATION).list_lines()
    assert [find_fault(line) for line in lines] == [""] * len(lines)


_lease_lines = st.lists(st.one_of(_texts, st.sampled_from((
    "lease {", "}", "expire never;", "expire 4 2038/01/19 03:14:07;", "expire epoch 1;",
    "fixed-address 10.1.2.2;", "option routers 10.1.2.1, 10.1.2.3;", "option routers",
    "option rfc3442-classless-static-routes 0,10,1,2,1;"))), max_size=12)


@given(_lease_lines)
def test_a_file_of_leases_is_a_lease_or_a_problem(lines: list[str]) -> None:
    with mock.patch.object(dhclient, "read_text", lambda _: "\n".join(lines)):
        try:
            assert isinstance(dhclient.read_kept_lease("eth1"), (Lease, type(None)))
        except Problem as problem:
            _check_said(str(problem))


@given(st.lists(st.one_of(_texts, st.builds("{}: {}".format, st.sampled_from((
    "address", "netmask", "gateway", "mptcp-flags", "up")), _texts)), max_size=12))
def test_what_ifquery_prints_is_stanzas(lines: list[str]) -> None:
    for stanza in ifupdown.split_stanzas(lines):
        try:
            read_event({"IFACE": "eth1", "ADDRFAM": "inet", **stanza})
        except Problem as problem:
            _check_said(str(problem))


_columns = st.one_of(_texts, st.sampled_from((
    "tcp", "mptcp", "ESTAB", "LISTEN", "0", "10.1.1.2:22", "[fd00::1]%eth0:443", "*:*",
    "ino:17", "sk:1", "uid:0", "users:((\"sshd\",pid=3,fd=4))", "tcp-ulp-mptcp", "flags:Mec",
    "token:0000(id:0)/12ab(id:0)", "token:12ab", "bytes_acked:1", "rtt:0.1/0.2", "subflows:1",
    "<->", "remote_key", "write_seq:18446744073709551616", "timer:(keepalive,1min,0)", "\t")))
_tables = st.lists(st.lists(_columns, max_size=14).map(" ".join), max_size=8).map("\n".join)


@given(_tables)
def test_what_ss_prints_is_connections(output: str) -> None:
    read_connections(output, {"10.1.1.2": "eth0"})


def test_the_words_are_understood() -> None:
    """Else all that is tried above would be refused at the first word."""
    event = read_event({"IFACE": "eth1", **_usual})
    assert event is not None
    with open_bench() as bench:
        assert len(list_lines(bench, [event])) > 5
    assert _read_configuration("[eth1]\nflags = subflow backup\n")[1] == []
    with pytest.raises(Problem):
        read_event({"IFACE": "eth1", **_usual, "IF_GATEWAY": "10.1.2.1\nflush"})
