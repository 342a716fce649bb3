# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's MPTCP counters, and what they say of boxes and servers on the way that strip it.

The counters are a network namespace's since it began: MPTcpExt in
/proc/net/netstat, named in the kernel's net/mptcp/mib.c. Kernels differ in which
they have (6.1 does not count the subflows that were asked for): a counter that is
not there is unknown, and nothing is concluded from it.

One connection more or less proves nothing: a server may be plain TCP, a cable may
have been out, a connection may have ended while a subflow was on its way. So a
lack of answers counts from the third on, and where it is the rule: more than half.
What no network does by itself, as an altered key or altered data, counts at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mptcp_hooks.base.text import count
from mptcp_hooks.base.value import NamedTuple

_Counters = Mapping[str, int]

_FEW = 3
# What ends as plain TCP: in the handshake, seen by the client and by the server; with the first
# data; later.
_FALLBACKS = ("MPCapableFallbackSYNACK", "MPCapableFallbackACK", "MPCapableDataFallback",
              "DssFallback", "InfiniteMapTx", "InfiniteMapRx")


def subtract(counters: _Counters, earlier: _Counters) -> dict[str, int]:
    """What was counted since `earlier`; all of it where that is another machine's or boot's."""
    since = {name: number - earlier.get(name, 0) for name, number in counters.items()}
    return dict(counters) if any(number < 0 for number in since.values()) else since


class Evidence(NamedTuple):
    """One sentence with the figures, and what a person can do."""

    text: str
    remedy: str


def count_fallbacks(counters: _Counters) -> dict[str, int]:
    """How many connections went on as plain TCP, by the counter that has them."""
    return {name: counters[name] for name in _FALLBACKS if name in counters}


def count_joins(counters: _Counters) -> tuple[int, int] | None:
    """How many further subflows were asked for, and how many were answered with MPTCP.

    None where the kernel does not count the first (before 6.12).
    """
    if "MPJoinSynTx" not in counters:
        return None
    return counters["MPJoinSynTx"], counters.get("MPJoinSynAckRx", 0)


def judge_counters(counters: _Counters) -> list[Evidence]:
    """What the counters prove, the most harmful first; nothing on a healthy network."""
    found = (judge(counters) for judge in _JUDGES)
    return [evidence for evidence in found if evidence]


def _judge_capable(counters: _Counters) -> Evidence | None:
    """Servers' SYN/ACKs come without MP_CAPABLE.

    MPCapableFallbackSYNACK counts them, MPCapableSYNACKRX those with it. Either the
    server's application does not ask for MPTCP, or a box takes the option out.
    """
    plain, capable = _get(counters, "MPCapableFallbackSYNACK", "MPCapableSYNACKRX")
    if not _is_rule(plain, capable):
        return None
    return Evidence(
        f"{plain} of {plain + capable} connections were answered without MPTCP, and are plain TCP",
        "where the server should speak it, see there with 'ss -M' and 'sysctl net.mptcp.enabled';"
        " if it does, a middlebox strips it: try another port or provider")


def _judge_joins(counters: _Counters) -> Evidence | None:
    """Further subflows that are never answered, or answered without MP_JOIN.

    MPJoinSynTx counts the SYNs that asked for one (6.12), MPJoinSynAckRx the good
    answers. What is in between was dropped, refused, or had its option stripped, or
    is still on its way.
    """
    sent, answered = _get(counters, "MPJoinSynTx", "MPJoinSynAckRx")
    if not _is_rule(sent - answered, answered):
        return None
    return Evidence(
        f"{sent - answered} of {sent} further subflows were not answered with MPTCP",
        "an uplink is dead, or a middlebox strips or drops MP_JOIN: see by which they go with"
        " 'mptcp_status --connections', try another port or provider")


def _judge_keys(counters: _Counters) -> Evidence | None:
    """Answers to MP_JOIN whose HMAC is wrong: not made with the keys of the first subflow.

    MPJoinSynAckHMacFailure is this end's, MPJoinAckHMacFailure a server's. The latter
    counted also what the path manager refused; a kernel that has MPJoinRejected (6.16)
    tells them apart.
    """
    wrong = counters.get("MPJoinSynAckHMacFailure", 0)
    if "MPJoinRejected" in counters:
        wrong += counters.get("MPJoinAckHMacFailure", 0)
    if not wrong:
        return None
    return Evidence(
        f"the keys of {count(wrong, 'subflow')} were wrong",
        "a proxy or load balancer answers in place of the server: have it pass MPTCP through to"
        " one server, or turn it off there")


def _judge_data(counters: _Counters) -> Evidence | None:
    """Data that was altered under way, as boxes do that rewrite addresses inside it.

    DataCsumErr counts checksums that were wrong (net.mptcp.checksum_enabled), MPFailRx
    those that the peer tells of, DSSCorruptionFallback and -Reset (6.12) mappings that
    cannot be true.
    """
    altered = _sum(counters, "DataCsumErr", "MPFailRx", "DSSCorruptionFallback",
                   "DSSCorruptionReset")
    if not altered:
        return None
    return Evidence(
        f"data of a connection was altered under way {_times(altered)}",
        "a middlebox rewrites data or segments: try another port or provider, or encrypt")


def _judge_late_fallback(counters: _Counters) -> Evidence | None:
    """Connections that began as MPTCP and went on as plain TCP.

    MPCapableDataFallback: the first data came without a mapping; DssFallback: later
    data did (both 6.17). InfiniteMapTx, -Rx: this end, or the peer, gave up mapping.
    Reordered packets can do the first. Compared to all that began as MPTCP, from here
    or from elsewhere.
    """
    fallen = _sum(counters, "MPCapableDataFallback", "DssFallback", "InfiniteMapTx",
                  "InfiniteMapRx")
    began = _sum(counters, "MPCapableSYNACKRX", "MPCapableACKRX")
    if not began or not _is_rule(fallen, began - fallen):
        return None
    return Evidence(
        f"{fallen} of {began} connections began with MPTCP and fell back to plain TCP",
        "a middlebox strips options from data: try another port or provider")


def _judge_clients(counters: _Counters) -> Evidence | None:
    """For a server: the third packet of a connection came without MP_CAPABLE.

    MPCapableFallbackACK counts them, MPCapableACKRX those that had it.
    """
    plain, capable = _get(counters, "MPCapableFallbackACK", "MPCapableACKRX")
    if not _is_rule(plain, capable):
        return None
    return Evidence(
        f"{plain} of {plain + capable} clients asked for MPTCP and then went on without",
        "a box before this server strips it: try without the firewall or proxy")


def _judge_tokens(counters: _Counters) -> Evidence | None:
    """For a server: a further subflow names a connection that is not here.

    MPJoinNoTokenFound, of all MPJoinSynRx. A connection that ended meanwhile is one; a
    load balancer that spreads the subflows of one connection makes it the rule.
    """
    unknown, came = _get(counters, "MPJoinNoTokenFound", "MPJoinSynRx")
    if not _is_rule(unknown, came - unknown):
        return None
    return Evidence(
        f"{unknown} of {came} further subflows belong to connections that this server has not",
        "a load balancer sends them to another server: have clients use an address of this"
        " server's own, an endpoint with 'signal'")


def _judge_refusals(counters: _Counters) -> Evidence | None:
    """This end's own path manager refused further subflows: MPJoinRejected (6.16).

    A server counts those it takes in MPJoinAckRx. A client, which has MPJoinSynAckRx,
    refuses only what comes when its connection has ended.
    """
    refused, accepted = counters.get("MPJoinRejected", 0), _sum(
        counters, "MPJoinAckRx", "MPJoinSynAckRx")
    if not _is_rule(refused, accepted):
        return None
    return Evidence(
        f"{refused} of {refused + accepted} further subflows were refused here",
        "raise the limit: 'ip mptcp limits set subflows 8'")


_JUDGES: tuple[Callable[[_Counters], Evidence | None], ...] = (
    _judge_capable, _judge_joins, _judge_keys, _judge_data,
    _judge_late_fallback, _judge_clients, _judge_tokens, _judge_refusals)


def _get(counters: _Counters, bad: str, good: str) -> tuple[int, int]:
    """Two counters to compare; nothing is wrong where one of them is unknown."""
    return (counters[bad], counters[good]) if bad in counters and good in counters else (0, 0)


def _sum(counters: _Counters, *names: str) -> int:
    return sum(counters.get(name, 0) for name in names)


def _is_rule(bad: int, good: int) -> bool:
    return bad >= _FEW and bad > good


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
