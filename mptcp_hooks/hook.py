# SPDX-License-Identifier: GPL-2.0-or-later
"""What managers start: an environment comes in, and the exit status is 0 whatever happens.

A hook that fails makes ifup fail and forget the interface, so nothing may leave
here as an error; interfaces(5). Most calls are about interfaces that are not
ours: what they need is imported first, and the rest only after it is known to
be needed (docs/internals/performance.md).
"""

from __future__ import annotations

import posix

from mptcp_hooks.base import folder
from mptcp_hooks.base.errors import Problem

TYPE_CHECKING = False
_LEASE = "mptcp_lease"

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.engine.work import Work
    from mptcp_hooks.intent.event import Event
    from mptcp_hooks.intent.settings import Configuration
    from mptcp_hooks.machine.runner import Batch, Kernel
    from mptcp_hooks.machine.system import Machine

    Environment = dict[str, str]
    K = TypeVar("K", bound="Kernel")


def run_hook(path: str) -> None:
    """Do what the hook is for: its folder says it, as /etc/network/if-up.d/mptcp_up does.

    DHCP clients have no folder of programs; theirs is the one called mptcp_lease.
    """
    folder_name, _, program = path.rpartition("/")
    name = program if program == _LEASE else folder_name.rpartition("/")[2]
    _guard(program, name)


def _bring_up(program: str, environment: Environment) -> None:
    from mptcp_hooks.intent.event import read_event

    event = read_event(environment)
    if event is None:
        return
    configuration, problems = _read_configuration()
    if _is_nobodys(event, environment, configuration) or _is_managers_tunnel(event, configuration):
        return
    _tell(program, problems)
    events = [event]
    _start_ahead_if_new(event)
    from mptcp_hooks.engine.bring_up import prepare_up
    from mptcp_hooks.machine.system import wait_for_duplicate_check

    for own in wait_for_duplicate_check(event.device, event.addresses):
        _say(program, f"{event.iface}: {own} is still checked for a duplicate: mptcp_monitor, "
                      f"or 'mptcp_up {event.iface}', completes the setup afterwards")
    _follow(program, environment,
            lambda store, machine: prepare_up(store, machine, events, configuration))


def _say_farewell(program: str, environment: Environment) -> None:
    """The addresses are about to go: a transfer moves on while the link still carries."""
    iface = environment.get("IFACE", "")
    if _may_be_on_record(iface):
        from mptcp_hooks.engine.take_down import prepare_farewell

        _take_away(program, environment,
                   lambda store, kernel: prepare_farewell(store, kernel, [iface]))


def _bring_down(program: str, environment: Environment) -> None:
    """The stanza may have been edited since the way up: the interface's name is all we take."""
    iface = environment.get("IFACE", "")
    if _may_be_on_record(iface) or _is_more_left():
        # Few interfaces have nothing of IPv4; for those it ends with nothing done.
        _start_ahead("-4", force=True)
        from mptcp_hooks.engine.take_down import prepare_down

        _take_away(program, environment,
                   lambda store, kernel: prepare_down(store, kernel, [iface]))


def _note_lease(program: str, environment: Environment) -> None:
    """A lease came, changed or ended: noted at once, and applied to what is on record."""
    from mptcp_hooks.intent.lease import is_news

    if is_news(environment):
        from mptcp_hooks.engine.announced import prepare_lease

        # What is wrong with the file was said when the interface came up.
        configuration, _ = _read_configuration()
        _follow(program, environment, lambda store, machine: prepare_lease(
            store, machine, environment, configuration))


def _connect(program: str, environment: Environment, family: int) -> None:
    from mptcp_hooks.engine.announced import prepare_link
    from mptcp_hooks.intent.pppd import is_like_vpn, read_interface

    iface = read_interface(environment)
    configuration, problems = _read_configuration()
    _tell(program, problems)
    if is_like_vpn(environment) and not configuration.judges(iface) and not _may_be_on_record(
            iface):
        _say(program, f"{iface}: left alone, as a VPN has such a link: if it is an uplink, 'manage "
                      f"= {iface}' in [default] of {folder.CONFIGURATION_FILE}")
        return
    _follow(program, environment, lambda store, machine: prepare_link(
        store, machine, iface, family, configuration))


def _hang_up(program: str, environment: Environment, family: int) -> None:
    iface = environment.get("PPP_IFACE", "")
    if _may_be_on_record(iface) or _is_more_left():
        from mptcp_hooks.engine.announced import prepare_hangup

        _take_away(program, environment,
                   lambda store, kernel: prepare_hangup(store, kernel, iface, family))


def _read_configuration() -> tuple[Configuration, list[Problem]]:
    """What mptcp-hooks.conf says and what is wrong with it; few machines have any of its files."""
    if not folder.exists(folder.OWN, folder.CONFIGURATION) and not folder.list_names(
            f"{folder.CONFIGURATION_FILE}{folder.FOLDER_SUFFIX}"):
        from mptcp_hooks.intent.settings import NO_CONFIGURATION

        return NO_CONFIGURATION, []
    from mptcp_hooks.intent.configuration import read_configuration

    return read_configuration()


def _is_nobodys(
    event: Event, environment: Environment, configuration: Configuration
) -> bool:
    """Whether the interface is to be left alone, and nothing of it is on record or to be said."""
    from mptcp_hooks.intent.settings import read_settings

    return not (_is_verbose(environment) or read_settings(event, configuration).wanted
                or _may_be_on_record(event.iface))


def _is_managers_tunnel(event: Event, configuration: Configuration) -> bool:
    """Whether NetworkManager tells of a VPN, whatever that is called; pppd tells of its own links.

    What a person names in the configuration is meant, and what a stanza is for as well.
    """
    from mptcp_hooks.intent.event import NETWORKMANAGER, method_of

    if method_of(event.told) != NETWORKMANAGER or configuration.judges(event.device):
        return False
    from mptcp_hooks.machine.tunnels import is_tunnel

    return is_tunnel(event.device)


def _start_ahead_if_new(event: Event) -> None:
    """Let `ip` load while we plan, where it will surely be needed: an interface that is new."""
    families = {own.family for own in event.addresses if own.gateway}
    if len(families) == 1 and not _is_on_record(event.iface):
        _start_ahead(f"-{families.pop()}", force=False)


def _start_ahead(option: str, force: bool) -> None:
    """Start the `ip` that will be needed; it is to have the lock as soon as we have it."""
    from mptcp_hooks.base.spawn import start_batch_ahead

    folder.open_ahead(folder.RECORD)
    start_batch_ahead(option, force)


def _is_on_record(iface: str) -> bool:
    return folder.exists(folder.RECORD, iface + folder.PATHS_SUFFIX)


def _may_be_on_record(iface: str) -> bool:
    """Whether it is, or will be once what other hooks left is done."""
    return _is_on_record(iface) or any(
        name.endswith(f"-{iface}{folder.DEFERRED_SUFFIX}")
        for name in folder.list_names(folder.RECORD))


def _is_more_left() -> bool:
    """Whether the last path went, and not all that was to go with it.

    Nobody could read what the limits were before, or take away what a monitor made; or it is
    what one that runs keeps.
    """
    names = folder.list_names(folder.RECORD)
    return any(name in (folder.LIMITS, *folder.MONITORS) for name in names) and not any(
        name.endswith(folder.PATHS_SUFFIX) for name in names)


def _is_verbose(environment: Environment) -> bool:
    """Whether `ifup -v` runs the hook."""
    return environment.get("VERBOSITY") == "1"


def _follow(program: str, environment: Environment, prepare: Callable[[Store, Machine], Work]
            ) -> None:
    """Do a work that asks about devices."""
    from mptcp_hooks.machine.system import Machine

    _work(program, environment, Machine, prepare)


def _take_away(program: str, environment: Environment, prepare: Callable[[Store, Kernel], Work]
               ) -> None:
    """Do a work that takes what is on record away."""
    from mptcp_hooks.machine.runner import Kernel

    _work(program, environment, Kernel, prepare)


def _work(
    program: str, environment: Environment, kind: type[K], prepare: Callable[[Store, K], Work]
) -> None:
    from mptcp_hooks.engine.carry_out import do_work

    verbose = _is_verbose(environment)
    kernel = kind(_find_show(verbose), _find_batch())
    do_work(kernel, lambda store: prepare(store, kernel),
            lambda text: _say(program, text), verbose)


def _find_batch() -> Batch:
    """What runs batches: not for long where a hook has killed a program before."""
    if folder.exists(folder.RECORD, folder.KILLED):
        from mptcp_hooks.engine.waiting import find_batch

        return find_batch()
    from mptcp_hooks.base.spawn import run_batch

    return run_batch


def _find_show(verbose: bool) -> Callable[[str], None] | None:
    """What shows each command as it runs, where that is asked for."""
    if not verbose:
        return None
    from mptcp_hooks.base.report import show_command

    return show_command


def _name_interface(environment: Environment) -> str:
    """The interface that a hook is about, as whoever started it names it."""
    named = [environment[name] for name in ("IFACE", "interface", "PPP_IFACE")
             if name in environment]
    return named[0] if named else "?"


def _tell(program: str, problems: list[Problem]) -> None:
    for problem in problems:
        _say(program, str(problem))


def _say(program: str, text: str) -> None:
    from mptcp_hooks.base.report import say_and_log

    say_and_log(program, text)


def _guard(program: str, name: str) -> None:
    environment = {name.decode("utf-8", "surrogateescape"):
                   value.decode("utf-8", "surrogateescape")
                   for name, value in posix.environ.items()}
    try:
        _act(program, name, environment)
    except Problem as problem:
        _say(program, str(problem))
    except Exception as error:
        # An error of ours must not cost anyone an ifup.
        from mptcp_hooks.base.report import describe_unexpected

        _say(program, f"{_name_interface(environment)}: {describe_unexpected(error)}")


def _act(program: str, name: str, environment: Environment) -> None:
    try:
        _ACTIONS[name](program, environment)
    except Problem as problem:
        if not problem.in_vain:
            raise
        from mptcp_hooks.engine.carry_out import carry_out
        from mptcp_hooks.engine.deferred import give_up

        give_up(name, _name_interface(environment), environment, problem, carry_out,
                lambda text: _say(program, text))


_ACTIONS: dict[str, Callable[[str, Environment], None]] = {
    "if-up.d": _bring_up,
    "if-down.d": _say_farewell,
    "if-post-down.d": _bring_down,
    "ip-up.d": lambda program, environment: _connect(program, environment, 4),
    "ip-down.d": lambda program, environment: _hang_up(program, environment, 4),
    "ipv6-up.d": lambda program, environment: _connect(program, environment, 6),
    "ipv6-down.d": lambda program, environment: _hang_up(program, environment, 6),
    _LEASE: _note_lease,
}
