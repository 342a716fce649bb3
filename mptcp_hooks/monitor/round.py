# SPDX-License-Identifier: GPL-2.0-or-later
"""A round of upkeep in a process of its own, and what it reports through a pipe.

It is the first of a session, setsid(2): whatever it starts is found by that and ended with
it, also once the round itself is gone.
"""

from __future__ import annotations

import marshal
import os
import signal
from time import monotonic, process_time, sleep

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.report import describe_unexpected
from mptcp_hooks.base.textfile import read_text
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.engine.lifelines import Use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# How long a round may take, in seconds: each program that it runs is given five. How long
# what was killed is waited for.
_AT_MOST, _DYING_AT_MOST = 60.0, 1.0


class RoundResult(NamedTuple):
    """What a person should know of a round, and what it saw and did.

    `repaired` are interfaces whose rules or routes somebody took away, though nothing was
    said of it to us; `failed` is whether a command did. A round of upkeep tells which
    interfaces have endpoints (`paths`), and which are `silent`, `kept` without a carrier
    since they have the last subflow of a connection, or `waiting` for their gateway; `made`
    is whether it made endpoints. A look tells how connections use paths (`uses`), and which
    addresses' endpoints it `remade`. `paths` and `uses` are None where it came to no end, or
    was of the other kind; `cost` is what it took of a processor, in seconds: to begin it, itself
    with all that it started, and to await its end. `proved` is whether a look had gateways
    prove that they are there. `endpoints`
    are the addresses of those that stand at the end, with their ids. `addresses` are
    those of paths, each with its interface, gateway and ifindex, and `suspecting` is whether any
    may be suspected of being out; `faults` are the paths that are, as interface, address,
    gateway, and why; `ways` are by family the interface that main leads new connections to, and
    the one that they leave by instead, '' where they do so no more. `resolvers` are those that
    one interface alone names, wherever they are asked. `free` are the interfaces whose role is
    nobody's word. `tunnels` are those that new connections keep to, and `overtaken`
    the tables before whose rules ours were put. `alive` are all paths that are not out, also
    those that lead nowhere but to a LAN, as interface and address.
    """

    said: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()
    failed: bool = False
    paths: tuple[str, ...] | None = None
    silent: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    made: bool = False
    uses: tuple[Use, ...] | None = None
    remade: tuple[str, ...] = ()
    cost: float = 0.0
    proved: bool = False
    endpoints: tuple[tuple[str, int], ...] = ()
    addresses: tuple[tuple[str, str, str, int], ...] = ()
    suspecting: bool = True
    faults: tuple[tuple[str, str, str, str], ...] = ()
    ways: tuple[tuple[int, str, str], ...] = ()
    resolvers: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    tunnels: tuple[str, ...] = ()
    overtaken: tuple[str, ...] = ()
    alive: tuple[tuple[str, str], ...] = ()


class Round:
    """A round of upkeep under way, in a process of its own; Problem where there can be none."""

    def __init__(self, work: Callable[[], RoundResult]) -> None:
        # Whoever started us may ignore it: then nobody can wait for a child, waitpid(2).
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._report = b""
        began, self._end = process_time(), monotonic() + _AT_MOST
        pipe: tuple[int, ...] = ()
        try:
            pipe = os.pipe()
            self._child = os.fork()
        except OSError as error:
            for descriptor in pipe:
                os.close(descriptor)
            raise Problem(f"cannot begin a round: {error.strerror}") from None
        self._output, writing = pipe
        if self._child == 0:
            _do_and_exit(work, writing)
        os.close(writing)
        self._begun_for = process_time() - began

    def fileno(self) -> int:
        """The descriptor that is readable when it says something, or ends."""
        return self._output

    def read(self) -> bool:
        """Read what it says; whether that was all."""
        piece = os.read(self._output, 1 << 16)
        self._report += piece
        return not piece

    def find_time_left(self) -> float:
        """How long it may still take, in seconds; 0 where it has taken too long."""
        return max(0.0, self._end - monotonic())

    def abandon(self) -> RoundResult:
        """End it with all that it started, so that nobody has the lock; what to say of that."""
        os.close(self._output)
        os.kill(self._child, signal.SIGKILL)
        end = monotonic() + _DYING_AT_MOST
        while (left := list(_list_session(self._child))) and monotonic() < end:
            for pid in left:
                _kill(pid)
            sleep(0.01)
        os.waitpid(self._child, os.WNOHANG)
        return RoundResult((f"a round of upkeep took more than {_AT_MOST:.0f} s and was killed",),
                           (), True)

    def finish(self) -> RoundResult:
        """What it reported, once it has said all."""
        os.close(self._output)
        began = process_time()
        _, status, spent = os.wait4(self._child, 0)
        if status:
            return RoundResult(("a round of upkeep was killed",), (), True)
        report = RoundResult(*marshal.loads(self._report))
        uses = None if report.uses is None else tuple(Use(*use) for use in report.uses)
        return report._replace(uses=uses, cost=(
            self._begun_for + spent.ru_utime + spent.ru_stime + process_time() - began))


def _do_and_exit(work: Callable[[], RoundResult], output: int) -> None:
    """In the child: work, report, end. What stops the monitor lets its last round finish."""
    try:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        # The monitor is not to hear of our alarms.
        signal.set_wakeup_fd(-1)
        report = _conclude(work)
        # It knows tuples, and none of what is made of them.
        uses = None if report.uses is None else [(*use,) for use in report.uses]
        plain = [uses if field == "uses" else value
                 for field, value in zip(RoundResult._fields, report)]
        with open(output, "wb") as stream:
            stream.write(marshal.dumps(plain))
        os._exit(0)
    finally:
        os._exit(1)


def _conclude(work: Callable[[], RoundResult]) -> RoundResult:
    try:
        return work()
    except Problem as problem:
        return RoundResult((str(problem),), (), True)
    except Exception as error:
        return RoundResult((describe_unexpected(error),), (), True)


def _list_session(session: int) -> Iterator[int]:
    """The processes of a session that still run, proc(5)."""
    for name in os.listdir("/proc"):
        if name.isdecimal():
            # The name of the program, in parentheses, may hold anything.
            _, _, rest = read_text(f"/proc/{name}/stat").rpartition(")")
            state, _, _, of_session = (rest.split() + ["", "", "", ""])[:4]
            if of_session == str(session) and state != "Z":
                yield int(name)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
