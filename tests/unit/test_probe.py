# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_status --probe: whom it asks, and how the answers are drawn."""

from __future__ import annotations

import pytest

from mptcp_hooks.base.errors import USAGE, Problem
from mptcp_hooks.machine.probes import Answer
from mptcp_hooks.status.paint import Paint
from mptcp_hooks.status.probe import Probe, Target, read_target
from mptcp_hooks.status.probe_view import describe_probes, draw_probes
from mptcp_hooks.status.survey import UP, Exit, PathStatus

PATH = PathStatus("eth0", "eth0", UP, 4, "10.1.1.2", 24, "10.1.1.1", 20002, None,
                  Exit("", "", ""), None)
TARGET = Target("example.org", 443, {4: "192.0.2.7"})
PROBES = [
    Probe(PATH, Answer(0.0004, ""), Answer(0.0123, ""), Answer(0.02, ""), Answer(0.05, "")),
    Probe(PATH._replace(interface="eth1", address="10.1.2.2"), Answer(None, ""),
          Answer(None, "connection refused"), None),
]


@pytest.mark.parametrize(("text", "host", "port"), [
    ("192.0.2.7", "192.0.2.7", 443), ("192.0.2.7:80", "192.0.2.7", 80),
    ("2001:db8::7", "2001:db8::7", 443), ("[2001:db8::7]", "2001:db8::7", 443),
    ("[2001:db8::7]:8443", "2001:db8::7", 8443), ("::1", "::1", 443),
])
def test_a_host_and_its_port(text: str, host: str, port: int) -> None:
    family = 6 if ":" in host else 4
    assert read_target(text) == Target(host, port, {family: host})


def test_nobody_is_asked_without_a_host() -> None:
    assert read_target("") is None


@pytest.mark.parametrize("text", [
    ":80", "192.0.2.7:", "192.0.2.7:0", "192.0.2.7:65536", "192.0.2.7:-1", "[]", "[]:80", "-x",
    "192.0.2.7:" + "9" * 5000, "[2001:db8::7]:x", "a" * 64 + ".example:80", ":", "[", "]",
])
def test_what_makes_no_sense_is_wrong_usage(text: str) -> None:
    with pytest.raises(Problem, match="^--probe '.* is wrong: it must be HOST or HOST:PORT") as no:
        read_target(text)
    assert no.value.status == USAGE


def test_the_screen_has_a_time_or_a_reason() -> None:
    assert draw_probes(PROBES, TARGET, Paint(False)) == [
        "INTERFACE  ADDRESS   GATEWAY  TCP                 MPTCP    JOIN",
        "eth0       10.1.1.2  0.4 ms   12.3 ms             20.0 ms  50.0 ms",
        "eth1       10.1.2.2  answers  connection refused  -        -",
    ]
    assert draw_probes(PROBES, None, Paint(False))[1] == "eth0       10.1.1.2  0.4 ms"


def test_programs_get_milliseconds_and_reasons() -> None:
    answer = describe_probes(PROBES, TARGET)
    assert answer["host"] == "example.org" and answer["port"] == 443
    assert answer["probes"] == [
        {"interface": "eth0", "address": "10.1.1.2", "works": True,
         "gateway": {"good": True, "ms": 0.4, "why": None},
         "tcp": {"good": True, "ms": 12.3, "why": None},
         "mptcp": {"good": True, "ms": 20.0, "why": None},
         "join": {"good": True, "ms": 50.0, "why": None}},
        {"interface": "eth1", "address": "10.1.2.2", "works": False,
         "gateway": {"good": True, "ms": None, "why": None},
         "tcp": {"good": False, "ms": None, "why": "connection refused"},
         "mptcp": None, "join": None},
    ]
    assert describe_probes([], None) == {"host": None, "port": None, "probes": []}
