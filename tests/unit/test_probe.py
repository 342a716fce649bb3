# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_status --probe: whom it asks, and how the answers are drawn."""

from __future__ import annotations

from errno import ECONNRESET, EPIPE
from select import POLLHUP, poll
from socket import IPPROTO_TCP, SO_LINGER, SOL_SOCKET, create_server, socket
from struct import pack

import pytest

from mptcp_hooks.base.errors import USAGE, Problem
from mptcp_hooks.machine import probes
from mptcp_hooks.machine.neighbours import Entry
from mptcp_hooks.machine.probes import Answer, Source, ask_gateway, connect
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
HERE = Source(4, "127.0.0.1", "lo", 1, False)


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


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[socket]:
    """The sockets of questions, which are TCP's: no kernel with MPTCP is needed."""
    made: list[socket] = []
    open_one = probes._open

    def keep(source: Source, kind: int, protocol: int) -> socket:
        made.append(open_one(source, kind, protocol))
        return made[-1]

    monkeypatch.setattr(probes, "_open", keep)
    monkeypatch.setattr(probes, "IPPROTO_MPTCP", IPPROTO_TCP)
    return made


def test_a_server_that_resets_at_once_is_an_answer(
    opened: list[socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the handshake and the byte that is sent."""
    with create_server(("127.0.0.1", 0)) as server:
        def reset(question: socket) -> bool:
            taken, _ = server.accept()
            taken.setsockopt(SOL_SOCKET, SO_LINGER, pack("=ii", 1, 0))
            taken.close()
            watched = poll()
            watched.register(question, POLLHUP)
            assert watched.poll(20_000)
            return True

        monkeypatch.setattr(probes, "_is_mptcp", reset)
        found = connect(HERE, "127.0.0.1", server.getsockname()[1], True, 20)
    assert found == (Answer(None, "connection reset by peer"), None)
    assert [one.fileno() for one in opened] == [-1]


@pytest.mark.parametrize("step", ["_connect", "_is_mptcp"])
@pytest.mark.parametrize(("number", "words"), [
    (ECONNRESET, "connection reset by peer"), (EPIPE, "broken pipe")])
def test_whatever_fails_of_a_question_is_its_answer(
    step: str, number: int, words: str, opened: list[socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, "")

    monkeypatch.setattr(probes, step, fail)
    with create_server(("127.0.0.1", 0)) as server:
        found = connect(HERE, "127.0.0.1", server.getsockname()[1], True, 20)
    assert found == (Answer(None, words), None)
    assert [one.fileno() for one in opened] == [-1]


def test_a_gateway_that_answered_since_we_looked_is_good(
    opened: list[socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel says so when it is asked for the next packet."""
    class Blind:
        """Sees nothing of what comes."""

        def register(self, question: socket, events: int) -> None:
            """As poll does."""

        def poll(self, milliseconds: float) -> list[tuple[int, int]]:
            """Nothing came, ever."""
            return []

    monkeypatch.setattr(probes, "poll", Blind)
    monkeypatch.setattr(probes, "_GATEWAY_AGAIN", 0.01)
    monkeypatch.setattr(probes, "read_entry", lambda gateway, ifindex: Entry(0, ""))
    answer = ask_gateway(HERE, "127.0.0.1")
    assert answer.good and answer.seconds is not None and answer.seconds >= 0.01
    assert [one.fileno() for one in opened] == [-1]
