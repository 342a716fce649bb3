# SPDX-License-Identifier: GPL-2.0-or-later
"""What hooks leave that gave up waiting, and the work of it for whoever has the lock next.

It lies beside the record, as `TIME-IFACE.deferred`, and is written without the lock. The
functions are those that the hook itself would have called, with what is left of its
environment; that is checked again, since it was a file meanwhile.
"""

from __future__ import annotations

from time import monotonic, monotonic_ns

from mptcp_hooks.base.errors import LOCK, Problem, quote
from mptcp_hooks.base.folder import (
    DEFERRED_SUFFIX,
    RECORD,
    TIME_DIGITS,
    open_folder,
    open_unlocked,
)
from mptcp_hooks.base.report import describe_unexpected
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.announced import prepare_hangup, prepare_lease, prepare_link
from mptcp_hooks.engine.bring_up import prepare_up
from mptcp_hooks.engine.command_cache import keep_commands
from mptcp_hooks.engine.follow import see
from mptcp_hooks.engine.record import Store, decode_told, encode_told, has_deferred
from mptcp_hooks.engine.take_down import prepare_down, prepare_farewell
from mptcp_hooks.engine.waiting import find_batch, note_vain_wait, write_unlocked
from mptcp_hooks.intent.configuration import read_configuration
from mptcp_hooks.intent.event import check_name, read_event
from mptcp_hooks.intent.lease import TOLD as LEASE_TOLD
from mptcp_hooks.intent.pppd import read_interface
from mptcp_hooks.machine.runner import Kernel
from mptcp_hooks.machine.system import Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mptcp_hooks.engine.work import Work
    from mptcp_hooks.intent.settings import Configuration

    Environment = Mapping[str, str]
    Prepare = Callable[[Store, Machine, Environment, Configuration], Work]
    CarryOut = Callable[[Store, Kernel, Work], list[Problem]]

_UP, _LEASE = "if-up.d", "mptcp_lease"
# What hooks other than that of the way up are told of, by the beginning of their names.
_NAMES = {"if-": ("IFACE",), "ip": ("PPP_IFACE",), _LEASE: LEASE_TOLD}
# Files, and characters of one.
_AT_MOST, _SIZE_AT_MOST = 256, 1 << 14
# What does not end is tried again by everybody who has the lock, for so many seconds.
_TRIED_FOR = 600.0


def give_up(
    hook: str, iface: str, environment: Environment, problem: Problem, carry_out: CarryOut,
    say: Callable[[str], None],
) -> None:
    """Leave what a hook was told to whoever has the lock next; that may be itself by now."""
    say(f"{iface}: {problem}: {defer_told(hook, iface, environment, problem.in_vain)}")
    if problem.in_vain == LOCK:
        settle(Kernel(None, find_batch()), carry_out, say)


def defer_told(hook: str, iface: str, environment: Environment, in_vain: str) -> str:
    """Leave what a hook was told that waited in vain; what became of it, as a sentence's end.

    `in_vain` is what it waited for, LOCK or PROGRAM.
    """
    try:
        check_name(iface)
        _write(iface, [hook, *map(encode_told, _keep(hook, environment))], in_vain)
    except Problem as problem:
        return str(problem)
    return "left to the next hook or command, or to mptcp_monitor"


def settle(kernel: Kernel, carry_out: CarryOut, say: Callable[[str], None]) -> None:
    """Do what hooks left, unless somebody has the lock.

    Whoever had the lock asks this after it, and whoever gave up asks it after leaving
    something: one of the two finds it. To have the lock for this is to have had it: it is asked
    again until nothing is left.
    """
    while has_deferred() and _settle_once(kernel, carry_out, say):
        pass


def _settle_once(kernel: Kernel, carry_out: CarryOut, say: Callable[[str], None]) -> bool:
    """Do what is left by now; whether we had the lock, and all of it came to an end."""
    folder = open_unlocked(RECORD)
    if not folder.lock():
        folder.close()
        return False
    with Store(folder) as store:
        try:
            take_in(store, kernel, carry_out, say)
        except Problem as problem:
            # Nothing of our own failed; the next one tries it again.
            say(str(problem))
            return False
    return True


def take_in(
    store: Store, kernel: Kernel, carry_out: CarryOut, say: Callable[[str], None]
) -> None:
    """Carry out what hooks left; what is done or cannot be is removed, and said.

    Problem where a command does not end: that and what comes after it stays.
    """
    machine = _widen(kernel)
    # What is wrong with the file was said by the hook.
    configuration, _ = read_configuration()
    for name in sorted(filter(_is_deferred, store.folder.list_names())):
        try:
            work = _prepare(store, machine, name, configuration)
            problems = carry_out(store, machine, work) if work else []
            for text in (*(work.warnings if work else ()), *map(str, problems)):
                say(text)
        except Problem as problem:
            if problem.in_vain and _find_age(name) < _TRIED_FOR:
                raise
            say(str(problem))
        except Exception as error:
            # It would be met by everybody else who has the lock.
            say(describe_unexpected(error))
        store.folder.write_lines(name, [])
    keep_commands()


def _write(iface: str, lines: list[str], in_vain: str) -> None:
    folder = open_folder(RECORD, lock=False)
    try:
        note_vain_wait(folder, in_vain)
        count = sum(map(_is_deferred, folder.list_names()))
        if count >= _AT_MOST or sum(map(len, lines)) > _SIZE_AT_MOST:
            raise Problem("what the hook was told is forgotten: it is too much to be left")
        write_unlocked(
            folder, f"{monotonic_ns():0{TIME_DIGITS}}-{iface}{DEFERRED_SUFFIX}", lines)
    finally:
        folder.close()


def _read(store: Store, name: str) -> tuple[str, dict[str, str]]:
    """Which hook left something, and what of its environment."""
    lines, fault = store.folder.read_lines(name)
    if fault:
        raise Problem(f"{store.folder.path}/{name} {fault}")
    try:
        told = [decode_told(line) for line in lines[1:]]
        return lines[0], dict(line.split("=", 1) for line in told)
    except (ValueError, IndexError):
        raise Problem(f"{store.folder.path}/{name} cannot be read") from None


def _is_deferred(name: str) -> bool:
    return name.endswith(DEFERRED_SUFFIX)


def _find_age(name: str) -> float:
    """How long ago a hook left what has this name, in seconds."""
    digits = name[:TIME_DIGITS]
    return monotonic() - int(digits) / 1e9 if digits.isdecimal() else _TRIED_FOR


def _keep(hook: str, environment: Environment) -> list[str]:
    """What of a hook's environment its work needs, as `NAME=value`."""
    if hook == _UP:
        event = read_event(environment)
        return list(event.told) if event else []
    (names,) = (names for beginning, names in _NAMES.items() if hook.startswith(beginning))
    return [f"{name}={environment[name]}" for name in names if name in environment]


def _prepare(
    store: Store, machine: Machine, name: str, configuration: Configuration
) -> Work | None:
    hook, environment = _read(store, name)
    if hook not in _PREPARE:
        raise Problem(f"{store.folder.path}/{name} is of no hook: {quote(hook)}")
    return _PREPARE[hook](store, machine, environment, configuration)


def _widen(kernel: Kernel) -> Machine:
    """The machine with the same runner: a hook of the way down has loaded the kernel alone."""
    if isinstance(kernel, Machine):
        return kernel
    machine = Machine()
    machine.runner = kernel.runner
    return machine


def _bring_up(
    store: Store, machine: Machine, environment: Environment, configuration: Configuration
) -> Work | None:
    """The work of an interface that came up, None where its addresses have gone meanwhile."""
    event = read_event(environment)
    if event is None or see(machine, event) is None:
        return None
    return prepare_up(store, machine, [event], configuration)


def _read_name(environment: Environment) -> str:
    check_name(environment.get("IFACE", ""))
    return environment["IFACE"]


def _connect(family: int) -> Prepare:
    return lambda store, machine, environment, configuration: prepare_link(
        store, machine, read_interface(environment), family, configuration)


def _hang_up(family: int) -> Prepare:
    return lambda store, machine, environment, configuration: prepare_hangup(
        store, machine, read_interface(environment), family)


_PREPARE: dict[str, Callable[[Store, Machine, Environment, Configuration], Work | None]] = {
    _UP: _bring_up,
    "if-down.d": lambda store, machine, environment, configuration: prepare_farewell(
        store, machine, [_read_name(environment)]),
    "if-post-down.d": lambda store, machine, environment, configuration: prepare_down(
        store, machine, [_read_name(environment)]),
    "ip-up.d": _connect(4),
    "ip-down.d": _hang_up(4),
    "ipv6-up.d": _connect(6),
    "ipv6-down.d": _hang_up(6),
    _LEASE: prepare_lease,
}
