# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_status --probe: tries each path, by its gateway and towards a host that somebody names."""

from __future__ import annotations

from functools import partial
from socket import AF_INET, AF_INET6, SOCK_STREAM, gaierror, getaddrinfo
from time import monotonic, sleep

from mptcp_hooks.base.address import family_of
from mptcp_hooks.base.errors import USAGE, Problem, quote
from mptcp_hooks.base.text import read_number
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.engine.remake import OPENING
from mptcp_hooks.machine.probes import (
    Answer,
    Connected,
    Source,
    ask_gateway,
    connect,
    find_subflows,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mptcp_hooks.status.survey import PathStatus, Survey

_DEFAULT_PORT, _PORT_AT_MOST = 443, 65535
# Three SYNs (RFC 6298), and what a further subflow takes at the most.
_CONNECTED_WITHIN, _JOINED_WITHIN, _LOOK_EACH = 4.0, 3.0, 0.02


class Target(NamedTuple):
    """A host as somebody named it, its port, and its addresses by family."""

    host: str
    port: int
    addresses: dict[int, str]


class Probe(NamedTuple):
    """What came of a path's questions, None where one was not asked."""

    path: PathStatus
    gateway: Answer | None
    tcp: Answer | None = None
    mptcp: Answer | None = None
    join: Answer | None = None

    @property
    def works(self) -> bool:
        """Whether all that was asked was answered."""
        return all(answer is None or answer.good
                   for answer in (self.gateway, self.tcp, self.mptcp, self.join))


class _Joined(NamedTuple):
    """What came of an MPTCP connection, and after how many seconds whose address joined it."""

    answer: Answer
    joins: dict[str, float]


def read_target(text: str) -> Target | None:
    """HOST, HOST:PORT, ADDRESS or [ADDRESS]:PORT, looked up; None for ''.

    Problem where it makes no sense, or nobody knows the host.
    """
    if not text:
        return None
    host, port = _split(text)
    try:
        found = getaddrinfo(host, port, type=SOCK_STREAM)
    except gaierror as error:
        raise Problem(f"--probe: {quote(host)} is not known: {error.strerror}: give an address, or "
                      "see whether names are resolved at all") from None
    except UnicodeError:
        raise Problem(f"--probe {quote(text)} is wrong: it must be HOST or HOST:PORT",
                      USAGE) from None
    families = {AF_INET: 4, AF_INET6: 6}
    return Target(host, port, {families[family]: str(end[0])
                               for family, *_, end in reversed(found) if family in families})


def probe(survey: Survey, paths: Iterable[PathStatus], target: Target | None) -> list[Probe]:
    """Try all these paths at once; those of others are not tried."""
    tried = [path for path in paths if path.installed]
    if not tried:
        raise Problem("there is no path to probe: 'mptcp_up --all' makes what can be made")
    # With it comes logging, which takes as long as all else that mptcp_status begins with.
    from concurrent.futures import ThreadPoolExecutor

    sources = [_find_source(survey, path) for path in tried]
    with ThreadPoolExecutor(3 * len(tried)) as pool:
        gateways = pool.map(_try_gateway, tried, sources)
        plain = pool.map(partial(_try_tcp, target), sources)
        multi = pool.map(partial(_try_mptcp, target, tried), sources)
        found = list(zip(tried, gateways, plain, multi))
    begun = {path.address: joined for path, _, _, joined in found if joined}
    return [Probe(path, gateway, tcp, joined and joined.answer,
                  _judge_join(path, begun) if target else None)
            for path, gateway, tcp, joined in found]


def _split(text: str) -> tuple[str, int]:
    """A host and its port, as people write them; Problem where it makes no sense."""
    host, separator, digits = text.rpartition(":")
    if text.startswith("[") and text.endswith("]"):
        host, digits = text[1:-1], ""
    elif not separator or ":" in host and not (host[0] == "[" and host[-1] == "]"):
        host, digits = text, ""
    port = read_number(digits) if digits or text.endswith(":") else _DEFAULT_PORT
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port or port > _PORT_AT_MOST or host.startswith("-"):
        raise Problem(f"--probe {quote(text)} is wrong: it must be HOST or HOST:PORT, the port a "
                      f"number from 1 to {_PORT_AT_MOST}", USAGE)
    return host, port


def _find_source(survey: Survey, path: PathStatus) -> Source:
    device = survey.find_device(path.device)
    shared = path.installed is not None and path.installed.path.shared
    return Source(path.family, path.address, path.device, device.ifindex if device else 0, shared)


def _try_gateway(path: PathStatus, source: Source) -> Answer | None:
    return ask_gateway(source, path.gateway) if path.gateway else None


def _try_tcp(target: Target | None, source: Source) -> Answer | None:
    if target is None or source.family not in target.addresses:
        return None
    answer, connected = connect(source, target.addresses[source.family], target.port, False,
                                _CONNECTED_WITHIN)
    if connected:
        connected.socket.close()
    return answer


def _try_mptcp(
    target: Target | None, paths: list[PathStatus], source: Source
) -> _Joined | None:
    if target is None or source.family not in target.addresses:
        return None
    answer, connected = connect(source, target.addresses[source.family], target.port, True,
                                _CONNECTED_WITHIN)
    if connected is None:
        return _Joined(answer, {})
    wanted = {path.address for path in paths if path.family == source.family
              and path.address != source.address and _opens_subflows(path)}
    with connected.socket:
        return _Joined(answer, _watch_joins(connected, wanted))


def _watch_joins(connected: Connected, wanted: set[str]) -> dict[str, float]:
    """After how many seconds each of the addresses had a subflow of a connection."""
    joins: dict[str, float] = {}
    while wanted - joins.keys() and (passed := monotonic() - connected.moment) < _JOINED_WITHIN:
        for address in find_subflows(connected) & wanted - joins.keys():
            joins[address] = passed
        sleep(_LOOK_EACH)
    return joins


def _judge_join(path: PathStatus, begun: dict[str, _Joined]) -> Answer | None:
    """Whether the path joined what began by another one; None where nothing began there."""
    others = [joined for address, joined in begun.items()
              if address != path.address and joined.answer.good
              and family_of(address) == path.family]
    if not others or not _opens_subflows(path):
        return None
    took = [joined.joins[path.address] for joined in others if path.address in joined.joins]
    return Answer(min(took), "") if took else Answer(
        None, f"no subflow in {_JOINED_WITHIN:.0f} s")


def _opens_subflows(path: PathStatus) -> bool:
    """Whether connections may have a further subflow over it."""
    return (path.installed is not None and path.installed.path.endpoint
            and bool(OPENING.intersection(path.installed.path.flags)))
