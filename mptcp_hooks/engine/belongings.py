# SPDX-License-Identifier: GPL-2.0-or-later
"""What belongs to a path besides its address: a mark, further sources, announced addresses. Pure.

A machine where nothing belongs to an uplink but its address does not load this module.
"""

from __future__ import annotations

from mptcp_hooks.base.address import family_of
from mptcp_hooks.base.model import BACKUP, SIGNAL
from mptcp_hooks.base.numbering import ENDPOINTS_AT_MOST, find_free_table
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.intent.settings import Belongings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mptcp_hooks.base.model import Endpoint, Path, PathManager, Stanza
    from mptcp_hooks.intent.settings import Settings


def choose_belongings(
    family: int, settings: Settings, first: bool, primary: bool
) -> Belongings:
    """What belongs to a path: the first one of its stanza, of its device (`primary`), or neither.

    Each is of one family.
    """
    own = settings.own if first else Belongings()
    usual = settings.usual if primary else Belongings()
    return Belongings(
        own.mark or usual.mark,
        _of_family(family, own.sources or usual.sources),
        _of_family(family, own.announced or usual.announced))


def _of_family(family: int, words: Iterable[str]) -> tuple[str, ...]:
    return tuple(one for one in words if family_of(one) == family)


def add_belongings(path: Path, settings: Settings, belongings: Belongings) -> Path:
    """The path with what belongs to it besides its address."""
    mark, sources, announced = belongings
    return path._replace(mark=mark, sources=sources, announced=announced,
                         flags=_choose_flags(settings, belongings, path.primary))


def _choose_flags(
    settings: Settings, belongings: Belongings, primary: bool
) -> tuple[str, ...]:
    # Who says what a further address is announced as, and gives no flags, wants nothing else.
    alone = belongings.announced and not (primary or settings.chosen_flags)
    return (SIGNAL,) if alone else settings.flags


def is_first(path: Path, stanza: Stanza) -> bool:
    """Whether a path is the first of its family that its stanza has."""
    return path == next(one.path for one in stanza.paths if one.path.family == path.family)


def keep_belongings(path: Path, belongings: Belongings) -> Path:
    """The path with what of its mark, sources and announced addresses is among `belongings`."""
    mark, sources, announced = belongings
    return path._replace(
        mark=path.mark if path.mark == mark else "",
        sources=tuple(one for one in path.sources if one in sources),
        announced=tuple(one for one in path.announced if one in announced))


def demote(path: Path, settings: Settings, first: bool, beside: Iterable[Path]) -> Path:
    """A path that was the first of its family on its device, as it is without that place.

    `settings` are its stanza's, of which it is the `first` of its family or not, and `beside` the
    paths that the device has besides. What its section has for that place it leaves to the other.
    """
    belongings = choose_belongings(path.family, settings, first, False)
    path = keep_belongings(path._replace(
        primary=False, way_out=False, flags=_choose_flags(settings, belongings, False),
        endpoint=path.endpoint and bool(settings.chosen_flags or belongings.announced)), belongings)
    own = settings.table if first else 0
    if path.table != settings.usual_table or path.table == own:
        return path
    return path._replace(table=find_free_table(
        path.ifindex, {other.table for other in beside if other.family == path.family}))


def judge_announced(
    path: Path, previous: tuple[Path, ...], manager: PathManager, tunnel: str
) -> tuple[Path, list[str], list[str]]:
    """The path with those announced addresses alone that can have an endpoint.

    With what a person must hear of the others, and what -v adds. `previous` are the paths on record
    that are renewed with it: what one of another address announces may be this one's by now.
    Beside a `tunnel`, '' for none, no peer is to hear of more than it does.
    """
    if not path.announced:
        return path, [], []
    if not path.endpoint:
        text = f"{path.iface}: {path.address} has no endpoint of ours: nothing is announced for it"
        held = any(one.stands_for(path.address) for one in manager.left)
        return path, [text] * held, [text] * (not held)
    endpoints = manager.left
    mine = [one for one in endpoints if any(
        old.owns(one) for old in previous
        if old.address == path.address or one.address in path.announced)]
    others = [one.address for one in endpoints if one not in mine and not one.port]
    free = ENDPOINTS_AT_MOST - len(endpoints) + len(mine)
    # What has a place keeps it: the own endpoint, and then as many as there is room for.
    kept: tuple[str, ...] = ()
    warnings: list[str] = []
    remarks: list[str] = []
    for one in path.announced:
        wanted = path._replace(announced=(*kept, one))
        if one in others:
            warnings.append(f"{path.iface}: {one} is not announced: there is an endpoint of it "
                            "already, left to its maker")
        elif tunnel and not any(own.stands_for(one) for own in mine):
            remarks.append(f"{path.iface}: {one} is not announced while what is bound to nothing "
                           f"leaves by {tunnel}")
        elif len(wanted.endpoints) > free:
            warnings.append(f"{path.iface}: {one} is not announced: the kernel's "
                            f"{ENDPOINTS_AT_MOST} endpoints are taken")
        else:
            kept = wanted.announced
    return _announce(path, kept), warnings, remarks


def judge_signal(path: Path, manager: PathManager, tunnel: str) -> tuple[Path, str]:
    """The path beside a tunnel, where no peer is to hear of its own address that does not by now.

    With what -v adds. What is announced in place of the own address has been judged.
    """
    telling = any(one.stands_for(path.address) and SIGNAL in one.flags for one in manager.left)
    if telling or path.announced:
        return path, ""
    return _keep_quiet(path), (f"{path.iface}: peers are not told of {path.address} while what is "
                               f"bound to nothing leaves by {tunnel}")


def spare_one(path: Path, endpoints: Iterable[Endpoint]) -> Path:
    """The path with one of the endpoints that the kernel has of it fewer: the own one goes last.

    Thus it has what it gets where there is no place for more (`judge_announced`).
    """
    there = {one.address for one in endpoints if path.owns(one)}
    announced = tuple(one for one in path.announced if one in there)
    left = _announce(path, announced[:-1])
    # One that is missing would come back to the place that is to be free.
    stands = there.issuperset(one.address for one in left.endpoints)
    return left if announced and stands else path._replace(endpoint=False)


def _announce(path: Path, announced: tuple[str, ...]) -> Path:
    """The path with these announced addresses alone."""
    path = path._replace(announced=announced)
    return path if announced else _keep_quiet(path)


def _keep_quiet(path: Path) -> Path:
    """The path without a word of its own address to peers: from there it leads nowhere."""
    flags = tuple(flag for flag in path.flags if flag != SIGNAL)
    return path._replace(flags=flags, endpoint=bool(set(flags) - {BACKUP})) if (
        flags != path.flags) else path
