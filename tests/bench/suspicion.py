# SPDX-License-Identifier: GPL-2.0-or-later
"""How soon a provider that is out is suspected, and how often one that is not.

Run inside hosts as a program:

    python3 -m tests.bench.suspicion watch ADDRESS...           a line for each thing concluded
    python3 -m tests.bench.suspicion serve PORT                 take all, answer each question
    python3 -m tests.bench.suspicion WAY SOURCE PORT COUNT ADDRESS...

`WAY` is what so many connections do, each to the next address: `ask` opens them in steps and
waits, `keep` leaves them idle, `push` sends all the time, `share` does so by Multipath TCP over
all uplinks, `chat` asks a question twice a second,
and `visit` does so over a new connection each time, which it closes; `fetch` has the server do so.
"""

from __future__ import annotations

import selectors
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

from mptcp_hooks.machine.waiting import read_exchanges, read_timeouts
from mptcp_hooks.monitor.suspicion import Suspicions
from tests.lab.support.boxes import put_box, remove_boxes
from tests.lab.support.lab import SERVER_4, TWO_UPLINKS, Host, Installation, Lab
from tests.lab.support.programs import Programs

ROOT = Path(__file__).parents[2]
# The uplink that it is about is the second one.
OWN, OTHER = "10.1.2.2", "10.1.1.2"
SERVERS = (SERVER_4, "10.99.0.2", "10.99.0.3")
PORT, CLOSED_PORT = "5010", "5011"
# The counters are read each second: when in it a provider goes out.
PHASES = (0.0, 0.2, 0.4, 0.6, 0.8)
# What a person is promised, after the third connection began to wait.
_WITHIN = 4.0
# How often connections are opened, how long the counters are not read, and an answer is given to
# a question.
_STEP, _COUNTED_EVERY, _QUESTIONS_EVERY = 0.3, 1.0, 0.5
_QUESTION, _LAST_QUESTION = b"?", b"."
_MPTCP = 262


class Verdict(NamedTuple):
    """What the watcher said: when the uplink was suspected, and for how long, in seconds.

    `signs` is how often there was a first sign, `looks` how many looks there were, `cost` what
    they and the readings of the counters took of a core.
    """

    suspected: tuple[float, ...]
    signs: int
    looks: int
    cost: float


class Scene(NamedTuple):
    """What is done on the way, by a rule of nftables, and who uses the uplink.

    `known` is whether it is known to be suspected, wrongly.
    """

    name: str
    rule: str
    users: tuple[tuple[str, ...], ...]
    seconds: float
    known: bool = False


_DROP_ALL = "meta l4proto tcp drop"
_TALK = ("chat", OWN, PORT, "2", *SERVERS[:2])
_VISIT = ("visit", OWN, PORT, "1", *SERVERS[:2])
_KEEP = ("keep", OWN, PORT, "3", *SERVERS)
_PUSH = ("push", OWN, PORT, "10", *SERVERS[:2])
_SHARE = ("share", OTHER, PORT, "10", *SERVERS[:2])
HEALTHY = (
    Scene("one server down, others chat", f"ip daddr {SERVERS[2]} drop",
          (_TALK, ("ask", OWN, PORT, "6", SERVERS[2])), 30),
    Scene("one server down, others visited", f"ip daddr {SERVERS[2]} drop",
          (_VISIT, ("ask", OWN, PORT, "6", SERVERS[2])), 30),
    Scene("a closed port everywhere, chat", f"tcp dport {CLOSED_PORT} drop",
          (_TALK, ("ask", OWN, CLOSED_PORT, "6", *SERVERS)), 30),
    Scene("a closed port everywhere, visits", f"tcp dport {CLOSED_PORT} drop",
          (_VISIT, ("ask", OWN, CLOSED_PORT, "6", *SERVERS)), 30),
    # Of connections that the server closed nothing is left that a look could see.
    Scene("a closed port everywhere, fetches", f"tcp dport {CLOSED_PORT} drop",
          (("fetch", *_VISIT[1:]), ("ask", OWN, CLOSED_PORT, "6", *SERVERS)), 30, known=True),
    Scene("three idle connections", "", (_KEEP,), 30),
    Scene("10 % loss, ten busy", "meta l4proto tcp numgen random mod 10 < 1 drop", (_PUSH,), 60),
    Scene("30 % loss, ten busy", "meta l4proto tcp numgen random mod 10 < 3 drop", (_PUSH,), 60),
)


def bench_suspicion(installation: Installation) -> int:
    """Print all; 1 where a provider that is out is suspected late, or one that is not ever."""
    with closing(Programs(("nftables",))) as programs, closing(
            Lab((installation.layer,), router_layers=(programs.layer,))) as lab:
        prepare(lab)
        over = 0
        print(f"\n{'provider out, new connections':<36}" + "".join(f"{number:>9}" for number in (
            *range(1, len(PHASES) + 1), "median")) + "   s after the third")
        for count in (3, 4, 6):
            over |= show_delays(f"{count}, to {min(count, len(SERVERS))} servers",
                                [measure_delay(lab, count, phase) for phase in PHASES])
        for name, user in (("ten busy ones", _PUSH), ("ten of Multipath TCP", _SHARE)):
            over |= show_delays(f"{name}, from the cut on", [
                measure_busy_delay(lab, user, phase) for phase in PHASES])
        print(f"\n{'provider not out':<36}{'suspected':>10}{'signs':>7}{'looks':>7}{'core':>10}")
        for scene in HEALTHY:
            over |= show_verdict(scene, play(lab, scene))
    print(f"bound: within {_WITHIN:.0f} s where it is out, else never"
          + (": OVER" if over else ": within"))
    return over


def prepare(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    for address in SERVERS[1:]:
        lab.server.ip(f"addr add {address}/32 dev lo")
        for number, router in enumerate(lab.routers, start=1):
            router.ip(f"route add {address} via 10.8.{number}.2")
    begin(lab.server, "serve", PORT)


def measure_delay(lab: Lab, count: int, phase: float) -> float:
    """How long after the third of so many connections began; inf where it is not suspected.

    `phase` is how long after a reading of the counters, more or less.
    """
    with watch(lab) as verdict:
        with use(lab, _VISIT):
            time.sleep(2 + phase)
        put_box(lab.routers[1:], _DROP_ALL)
        asking = begin(lab.client, "ask", OWN, PORT, str(count), *SERVERS)
        began = [float(_read_line(asking)) for _ in range(count)]
        time.sleep(began[2] + _WITHIN + 2 - time.monotonic())
        end(asking)
        remove_boxes(lab)
    return _find_delay(verdict(), began[2])


def measure_busy_delay(lab: Lab, user: tuple[str, ...], phase: float) -> float:
    """How long after it went out under ten connections; inf where it is not suspected."""
    with watch(lab) as verdict, use(lab, user):
        time.sleep(3 + phase)
        put_box(lab.routers[1:], _DROP_ALL)
        began = time.monotonic()
        time.sleep(_WITHIN + 2)
        remove_boxes(lab)
    return _find_delay(verdict(), began)


def play(lab: Lab, scene: Scene) -> Verdict:
    if scene.rule:
        put_box(lab.routers[1:], scene.rule)
    with watch(lab) as verdict:
        users = [begin(lab.client, *user) for user in scene.users]
        time.sleep(scene.seconds)
        for user in users:
            end(user)
    remove_boxes(lab)
    return verdict()


def show_delays(name: str, delays: list[float]) -> int:
    print(f"{name:<36}" + "".join(f"{delay:>9.2f}" for delay in (
        *delays, statistics.median(delays))))
    return int(max(delays) > _WITHIN)


def show_verdict(scene: Scene, verdict: Verdict) -> int:
    print(f"{scene.name:<36}{len(verdict.suspected):>10}{verdict.signs:>7}{verdict.looks:>7}"
          f"{verdict.cost:>10.3%}" + "   known" * scene.known)
    return int(bool(verdict.suspected) and not scene.known)


def _find_delay(verdict: Verdict, began: float) -> float:
    return min((at - began for at in verdict.suspected if at > began), default=float("inf"))


@contextmanager
def watch(lab: Lab) -> Iterator[Callable[[], Verdict]]:
    """The watcher on the client; afterwards what it said."""
    watching = begin(lab.client, "watch", OWN, OTHER)
    assert _read_line(watching) == "ready"
    began = time.monotonic()
    said: list[Verdict] = []
    yield said.pop
    watching.terminate()
    output, errors = watching.communicate(timeout=20)
    assert not errors, errors
    lines = [line.split() for line in output.splitlines()]
    (looks, cost), = ((int(line[1]), float(line[2])) for line in lines if line[0] == "took")
    said.append(Verdict(tuple(float(line[2]) for line in lines if line[:2] == ["suspected", OWN]),
                        sum(line[:2] == ["sign", OWN] for line in lines), looks,
                        cost / (time.monotonic() - began)))


@contextmanager
def use(lab: Lab, user: tuple[str, ...]) -> Iterator[None]:
    using = begin(lab.client, *user)
    yield
    end(using)


def begin(host: Host, *arguments: str) -> subprocess.Popen[str]:
    return host.start("env", f"PYTHONPATH={ROOT}", sys.executable, "-B", "-m",
                      "tests.bench.suspicion", *arguments)


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def _read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def run_watch(addresses: frozenset[str]) -> None:
    """Look as the monitor does, and say what is concluded."""
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    suspicions = Suspicions()
    timeouts, looks, began = read_timeouts(), 0, time.process_time()
    print("ready", flush=True)
    with suppress(KeyboardInterrupt):
        while True:
            counted = read_timeouts()
            if counted != timeouts:
                suspicions.expect(time.monotonic())
            timeouts = counted
            if not suspicions.wait(time.monotonic()):
                look(suspicions, addresses)
                looks += 1
            time.sleep(min(_COUNTED_EVERY, suspicions.wait(time.monotonic()) + 0.001))
    print("took", looks, time.process_time() - began)


def look(suspicions: Suspicions, addresses: frozenset[str]) -> None:
    signs, suspected = suspicions.signs, suspicions.suspected
    began = time.process_time()
    exchanges = read_exchanges(addresses, bool(signs))
    now = time.monotonic()
    suspicions.note(exchanges, addresses, now)
    suspicions.note_cost(time.process_time() - began, now)
    for address in sorted(suspicions.signs - signs):
        print("sign", address, now, flush=True)
    for address in sorted(set(suspicions.suspected) - set(suspected)):
        print("suspected", address, now, flush=True)


def run_serve(port: int) -> None:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, _MPTCP)
    listener.bind(("0.0.0.0", port))
    listener.listen(500)
    waiting = selectors.DefaultSelector()
    waiting.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.fileobj is listener:
                waiting.register(listener.accept()[0], selectors.EVENT_READ)
            else:
                assert isinstance(key.fileobj, socket.socket)
                if not answer(key.fileobj):
                    waiting.unregister(key.fileobj)
                    key.fileobj.close()


def answer(connection: socket.socket) -> bool:
    """Whether it goes on."""
    with suppress(OSError):
        data = connection.recv(1 << 16)
        if data in (_QUESTION, _LAST_QUESTION):
            connection.send(b"!")
        return data not in (b"", _LAST_QUESTION)
    return False


def run_way(way: str, source: str, port: int, targets: list[str]) -> None:
    """Do so with a connection to each of these, until it is ended."""
    if way in ("visit", "fetch"):
        for target in cycle(targets):
            with suppress(OSError), connect(source, port, target) as connection:
                ask(connection, _QUESTION if way == "visit" else _LAST_QUESTION)
            time.sleep(_QUESTIONS_EVERY)
    connections = []
    protocol = _MPTCP if way == "share" else socket.IPPROTO_TCP
    for target in targets:
        connections.append(begin_connecting(source, port, target, protocol))
        if way == "ask":
            print(time.monotonic(), flush=True)
            time.sleep(_STEP)
    if way in ("push", "share"):
        push(connections)
    while True:
        time.sleep(_QUESTIONS_EVERY)
        for connection in connections if way == "chat" else ():
            with suppress(OSError):
                connection.send(_QUESTION)


def begin_connecting(source: str, port: int, target: str, protocol: int) -> socket.socket:
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
    connection.bind((source, 0))
    connection.setblocking(False)
    with suppress(BlockingIOError):
        connection.connect((target, port))
    return connection


def connect(source: str, port: int, target: str) -> socket.socket:
    return socket.create_connection((target, port), timeout=5, source_address=(source, 0))


def ask(connection: socket.socket, question: bytes) -> None:
    """Ask, and read what comes; after the last question until the server closes."""
    connection.send(question)
    connection.recv(1)
    if question == _LAST_QUESTION:
        connection.recv(1)


def push(connections: list[socket.socket]) -> None:
    sending = selectors.DefaultSelector()
    for connection in connections:
        sending.register(connection, selectors.EVENT_WRITE)
    while True:
        for key, _ in sending.select():
            assert isinstance(key.fileobj, socket.socket)
            with suppress(BlockingIOError):
                key.fileobj.send(bytes(1 << 14))


if __name__ == "__main__":
    if sys.argv[1] == "watch":
        run_watch(frozenset(sys.argv[2:]))
    elif sys.argv[1] == "serve":
        run_serve(int(sys.argv[2]))
    else:
        run_way(sys.argv[1], sys.argv[2], int(sys.argv[3]),
                list(islice(cycle(sys.argv[5:]), int(sys.argv[4]))))
