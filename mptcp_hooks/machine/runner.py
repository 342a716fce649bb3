# SPDX-License-Identifier: GPL-2.0-or-later
"""The one door to the kernel: runs command sets, and asks what it holds of ours.

All that the engine changes goes through Runner. Each line is checked there, wherever
it comes from (a template, the cache, the record), and shown when it runs.

`ip -batch` has no options of a line, so neighbours of one family share a
process. Without -force it stops at the first error; with it, it goes on and
names the number of each line that failed, but a line that it cannot parse
still ends it without a number (iproute2, lib/utils.c and ip/ip.c).
"""

from __future__ import annotations

from _socket import AF_INET, AF_INET6, inet_pton

from mptcp_hooks.base.line import (
    Line,
    family_option,
    find_fault,
    find_neighbour_fault,
    is_mptcp,
)
from mptcp_hooks.base.model import TableUse
from mptcp_hooks.base.numbering import DETOUR, NAMES_TABLE, PROTOCOL
from mptcp_hooks.base.spawn import Outcome, run_batch
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.machine.netlink import (
    device_attribute,
    OUR_RULE,
    dump_rules,
    find_rules,
    mark_attribute,
    read_path_manager,
    read_routes,
    source_attribute,
    table_attribute,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mptcp_hooks.base.errors import Problem
    from mptcp_hooks.base.model import Path, PathManager, Rule
    from mptcp_hooks.machine.failures import Failure
    from mptcp_hooks.machine.neighbours import Entry

    Batch = Callable[[str, bool, str], Outcome]

# EEXIST of a rule or route with our mark, and of an endpoint that came meanwhile.
_DONE_ALREADY = ("File exists", "too many addresses or duplicate one: -17")
# A rule, a route, a table, an endpoint and a device that went before us.
_GONE_ALREADY = ("No such file or directory", "No such process", "FIB table does not exist",
                 "address not found", "Cannot find device")
_REFUSED = "not run, since "


class Runner:
    """Runs command sets; `show` hears each line before it runs, `batch` is what runs them."""

    def __init__(self, show: Callable[[str], None] | None, batch: Batch) -> None:
        self._show = show
        self._batch = batch

    def apply_sets(self, sets: list[tuple[str, ...]]) -> list[Failure]:
        """Run sets of lines that make things; what is there already counts as made.

        Sets are independent of each other. In a set whose routing failed, the
        lines about the path manager do not run.
        """
        lines = _flatten(sets)
        if not _refuse(lines) and self._run_all_or_stop(lines):
            return []
        failures = self._run_each(
            [line for line in lines if not is_mptcp(line.text)], _DONE_ALREADY)
        broken = {failure.number for failure in failures}
        later = [line for line in lines if is_mptcp(line.text) and line.number not in broken]
        return failures + self._run_each(later, _DONE_ALREADY)

    def undo_sets(self, sets: list[tuple[str, ...]]) -> list[Failure]:
        """Run sets of lines that take things away; what is gone already counts as taken."""
        return self._run_each(_flatten(sets), _GONE_ALREADY)

    def ask_neighbours(self, lines: tuple[str, ...]) -> list[Failure]:
        """Have the kernel forget gateways, or ask for them: lines of `ip neigh`, and no others.

        They change nothing that stays, and come again and again while a gateway is silent: so
        they are not shown.
        """
        silent = Runner(None, self._batch)
        return silent._run_each(_flatten([lines]), _GONE_ALREADY, find_neighbour_fault)

    def _run_all_or_stop(self, lines: list[Line]) -> bool:
        return all(self._run_batch(option, group, force=False).status == 0
                   for option, group in _group(lines))

    def _run_each(
        self, lines: list[Line], forgiven: tuple[str, ...],
        judge: Callable[[str], str] = find_fault,
    ) -> list[Failure]:
        failures = _refuse(lines, judge)
        refused = {failure.line for failure in failures}
        for option, group in _group([line for line in lines if line.text not in refused]):
            outcome = self._run_batch(option, group, force=True)
            if outcome.status or outcome.errors:
                failures += [failure for failure in self._find_failures(option, group, outcome)
                             if not any(words in failure.reason for words in forgiven)]
        return failures

    def _find_failures(self, option: str, group: list[Line], outcome: Outcome) -> list[Failure]:
        from mptcp_hooks.machine.failures import read_failures

        found, rest = read_failures(group, outcome.errors)
        # Unless each failure has its number, nobody knows what ran: an ip that was killed.
        unknown = outcome.status and (rest or not found)
        return self._run_singly(option, group) if unknown else found

    def _run_singly(self, option: str, group: list[Line]) -> list[Failure]:
        from mptcp_hooks.machine.failures import Failure, clean

        failures = []
        for line in group:
            outcome = self._run_batch(option, [line], force=False)
            if outcome.status:
                failures.append(Failure(line.number, line.text, clean(outcome.errors)))
        return failures

    def _run_batch(self, option: str, group: list[Line], force: bool) -> Outcome:
        if self._show:
            for line in group:
                self._show(line.text)
        text = "".join(_without_options(line.text) + "\n" for line in group)
        return self._batch(option, force, text)


class TableReader:
    """Reads what the kernel holds of paths; the rules are those of the first question."""

    def __init__(self) -> None:
        self._rules: dict[int, list[bytes]] = {}

    def read_use(self, path: Path) -> TableUse:
        """The routes of a path's table, and the rules that name that, or what is the path's.

        That is its device, its mark, and the subnets whose addresses leave by it.
        """
        family = AF_INET if path.family == 4 else AF_INET6
        sources = [subnet.partition("/")[0] for subnet in path.list_sources()]
        about = (table_attribute(path.table), device_attribute(path.device), *_list_marks(path),
                 *(source_attribute(inet_pton(family, source)) for source in sources))
        # Detours are no path's: they lead to its table, and go again.
        rules = (rule for rule in find_rules(self._dump(path.family), about)
                 if path.concerns(rule) and not is_detour(rule))
        return TableUse(tuple(rules), tuple(read_routes(path.family, path.table)))

    def read_detours(self, family: int) -> list[Rule]:
        """The rules of ours that lead new connections away from where main would."""
        return list(filter(is_detour, find_rules(self._dump(family), (OUR_RULE,))))

    def read_names(self, family: int) -> TableUse:
        """The routes of the table of names, and the rules of ours directly before main.

        In the order in which the kernel asks them; detours are among them.
        """
        rules = (rule for rule in find_rules(self._dump(family), (OUR_RULE,))
                 if rule.preference == DETOUR["detour"])
        return TableUse(tuple(rules), tuple(read_routes(family, NAMES_TABLE)))

    def _dump(self, family: int) -> list[bytes]:
        if family not in self._rules:
            self._rules[family] = dump_rules(family)
        return self._rules[family]


class Kernel:
    """What the engine needs of the kernel: the runner, and what it then holds of ours.

    `show` hears each command before it runs, `batch` runs them. The way down takes no more of
    a machine than this, and does not load what asks about devices (system.py).
    """

    def __init__(
        self, show: Callable[[str], None] | None = None, batch: Batch = run_batch
    ) -> None:
        self.runner = Runner(show, batch)

    def read_path_manager(self) -> PathManager:
        """The endpoints and limits of the kernel's MPTCP path manager."""
        return read_path_manager()

    def read_first_window(self, family: int, table: int) -> int:
        """How much a peer may send first by a table's default, in packets; 0 if it is not said."""
        from mptcp_hooks.machine.first_window import read_first_window

        return read_first_window(family, table)

    def read_neighbour(self, gateway: str, ifindex: int) -> Entry:
        """What the kernel has of a gateway on a device."""
        from mptcp_hooks.machine.neighbours import read_entry

        return read_entry(gateway, ifindex)

    def forget_failing(self, paths: Iterable[Path]) -> None:
        """Before endpoints are made, forget gateways that the kernel asks in vain.

        What their subflows send first begins a new question then, and is not dropped with what
        waits for the old one.
        """
        # Few works need it: of a path that was there before its endpoint.
        from mptcp_hooks.machine.neighbours import build_oblivion, is_failing

        failing = {(path.gateway, path.device) for path in paths if path.gateway
                   and is_failing(self.read_neighbour(path.gateway, path.ifindex).state)}
        self.runner.ask_neighbours(tuple(
            build_oblivion(gateway, device) for gateway, device in sorted(failing)))

    def read_tables(self) -> TableReader:
        """What answers, for one work, what the kernel holds in paths' tables."""
        return TableReader()


def is_detour(rule: Rule) -> bool:
    """Whether a rule is one of the monitor's about new connections, and not that of names."""
    return (rule.protocol == PROTOCOL and rule.preference in DETOUR.values()
            and rule.table != NAMES_TABLE)


def _list_marks(path: Path) -> Iterator[bytes]:
    """What rules that ask for a path's mark have in common."""
    if path.mark:
        from mptcp_hooks.base.mark import parse_mark

        yield mark_attribute(parse_mark(path.mark)[0])


def tell_failure(failure: Failure, iface: str = "") -> Problem:
    """A failure as a person hears it: the command, the kernel's words, a remedy if known."""
    from mptcp_hooks.machine.failures import describe_failure

    return describe_failure(failure, iface)


def _flatten(sets: list[tuple[str, ...]]) -> list[Line]:
    return [Line(number, text) for number, lines in enumerate(sets) for text in lines]


def _refuse(lines: list[Line], judge: Callable[[str], str] = find_fault) -> list[Failure]:
    """The lines that are no command of ours: a record or a cache may have been written into."""
    faults = [(line, fault) for line in lines if (fault := judge(line.text))]
    if not faults:
        return []
    from mptcp_hooks.machine.failures import Failure

    return [Failure(line.number, line.text, _REFUSED + fault) for line, fault in faults]


def _group(lines: list[Line]) -> Iterator[tuple[str, list[Line]]]:
    """Neighbours of one family; lines about the path manager, which has none, join any."""
    group: list[Line] = []
    current: str | None = None
    for line in lines:
        option = None if is_mptcp(line.text) else family_option(line.text)
        if group and None not in (option, current) and option != current:
            yield current or "", group
            group, current = [], None
        group.append(line)
        current = current if option is None else option
    if group:
        yield current or "", group


def _without_options(line: str) -> str:
    words = line.split(" ")[1:]
    return " ".join(words[1:] if family_option(line) else words)
