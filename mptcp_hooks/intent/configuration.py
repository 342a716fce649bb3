# SPDX-License-Identifier: GPL-2.0-or-later
"""/etc/mptcp-hooks/mptcp-hooks.conf as a Configuration: what is valid counts, the rest is said.

INI files, optional, root's own: that one, and behind it those of mptcp-hooks.conf.d, in the
order of their names. mptcp-hooks.conf(5) describes them for people.
"""

from __future__ import annotations

import posix

from mptcp_hooks.base.errors import USAGE, Problem, quote, wrong_value
from mptcp_hooks.base.folder import (
    CONFIGURATION_FILE,
    FOLDER_SUFFIX,
    is_link,
    is_regular,
    refuse_foreign,
)
from mptcp_hooks.base.numbering import ENDPOINTS_AT_MOST, PREFERENCE_AT_MOST
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.intent.event import split_list
from mptcp_hooks.intent.inifile import Entry, Section, read_sections
from mptcp_hooks.intent.pattern import is_pattern
from mptcp_hooks.intent.settings import (
    NO_CONFIGURATION,
    Configuration,
    Wishes,
    is_truth,
    read_flags,
    read_gateways,
    read_table,
    read_truth,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from mptcp_hooks.intent.checks import Target

PATH = CONFIGURATION_FILE
DEFAULT = "default"
CHECK_KEYS = ("check", "check-interval", "check-failures")
# What `roles` may say: whether they are judged; and `vpn`: whether new connections keep to one.
_ROLES = {"judged": True, "fixed": False}
_VPN = {"alone": True, "beside": False}
# What fits every interface.
_EVERY = "*"
# A section for each of hundreds of interfaces takes a tenth of it.
_SIZE_AT_MOST = 65536
_TOLD_AT_MOST = 8


class Heading(NamedTuple):
    """A section that counts: where it begins (`FILE:LINE`), its name, and its mark, '' for none."""

    where: str
    name: str
    mark: str


class Reading(NamedTuple):
    """What files say as far as it is valid, what is wrong with the rest, and their sections."""

    configuration: Configuration
    problems: list[Problem]
    headings: list[Heading]


def read_configuration() -> tuple[Configuration, list[Problem]]:
    """The configuration as far as it is valid, and what is wrong with the rest, line by line."""
    reading = read_installed()
    return reading.configuration, reading.problems


def read_installed() -> Reading:
    """mptcp-hooks.conf, and behind it the files of its folder: what comes later outweighs."""
    reader = _Reader()
    folder, _, file = PATH.rpartition("/")
    if _read_folder(reader, folder, lambda name: name == file):
        _read_folder(reader, f"{PATH}{FOLDER_SUFFIX}", is_further)
    return reader.finish()


def _list_altnames(wishes: Iterable[Wishes]) -> tuple[tuple[str, ...], ...]:
    """The names of devices that have several, where it matters which pattern fits a name."""
    if all(one.pattern == _EVERY for one in wishes):
        return ()
    from mptcp_hooks.machine.altnames import list_altnames

    return list_altnames()


def read_candidate(path: str) -> Reading:
    """What one file would say in the place of mptcp-hooks.conf, whoever it belongs to.

    What it cannot be read for is among the problems, as for the one in its place.
    """
    reader = _Reader()
    try:
        file = posix.open(path, posix.O_RDONLY | posix.O_NONBLOCK)
        try:
            reader.read(path, _read_text(path, file))
        finally:
            posix.close(file)
    except OSError as error:
        reader.give_up(_unreadable(path, error))
    except Problem as problem:
        reader.give_up(problem)
    return reader.finish()


def is_further(name: str) -> bool:
    """Whether a file of the folder counts: what editors and dpkg leave there does not."""
    return name.endswith(".conf") and not name.startswith(".")


def _read_folder(reader: _Reader, path: str, fits: Callable[[str], bool]) -> bool:
    """Have all files of a folder read that fit, in the order of their names.

    False where there is no such folder, or somebody else than root may have put them there.
    """
    try:
        directory = posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    except OSError as error:
        reader.give_up(_unreadable(path, error))
        return False
    try:
        refuse_foreign(path, posix.fstat(directory))
        for name in sorted(filter(fits, posix.listdir(directory))):
            _read_own(reader, path, name, directory)
    except OSError as error:
        reader.give_up(_unreadable(path, error))
        return False
    except Problem as problem:
        reader.give_up(Problem(str(problem), USAGE))
        return False
    finally:
        posix.close(directory)
    return True


def _read_own(reader: _Reader, folder: str, name: str, directory: int) -> None:
    """Have a file of root's own read; one that is not, or cannot be read, costs itself alone."""
    path = f"{folder}/{name}"
    try:
        reader.read(path, _read_text_of_root(path, name, directory))
    except FileNotFoundError:
        return
    except OSError as error:
        reader.give_up(_unreadable(path, error))
    except Problem as problem:
        reader.give_up(Problem(str(problem), USAGE))


def _read_text_of_root(path: str, name: str, directory: int) -> str:
    """A file's text, if nobody but root can have put it there: its lines are said and logged."""
    if is_link(posix.stat(name, dir_fd=directory, follow_symlinks=False)):
        raise Problem(f"{path} is a symbolic link, which is not followed: put the file itself "
                      "there", USAGE)
    # O_NONBLOCK: a FIFO that lies there is refused instead of waited for.
    file = posix.open(name, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK,
                      dir_fd=directory)
    try:
        info = posix.fstat(file)
        refuse_foreign(path, info)
        if not is_regular(info):
            raise Problem(f"{path} is not a file: remove it", USAGE)
        return _read_text(path, file)
    finally:
        posix.close(file)


def _read_text(path: str, file: int) -> str:
    info = posix.fstat(file)
    if not is_regular(info):
        raise Problem(f"{path} is not a file: name one", USAGE)
    if info.st_size > _SIZE_AT_MOST:
        raise Problem(f"{path}: {info.st_size} bytes are too many, {_SIZE_AT_MOST} may be: "
                      "nothing of it counts", USAGE)
    return posix.read(file, _SIZE_AT_MOST).decode("utf-8", "surrogateescape")


def _unreadable(path: str, error: OSError) -> Problem:
    return Problem(f"{path}: cannot be read: {error.strerror}", USAGE)


class _Reader:
    """Makes wishes of sections: those of [default] first, whatever their order in the files."""

    def __init__(self) -> None:
        self._path = ""
        self._said: dict[str, Any] = {}
        self._defaults: list[Wishes] = []
        self._wishes: list[Wishes] = []
        self._headings: list[Heading] = []
        # What is wrong with the file that is read, and all that is to be told of all files.
        self._problems: list[tuple[int, Problem]] = []
        self._told: list[Problem] = []

    def read(self, path: str, text: str) -> None:
        """Take all that is valid of one more file, and note what is not."""
        self._path = path
        sections, complaints = read_sections(text)
        for complaint in complaints:
            self._complain(complaint.line, complaint.text)
        for section in sections:
            if section.name == DEFAULT:
                self._read_default(section)
            elif is_pattern(section.name) and not _is_like_default(section.name):
                self._read_section(section)
            else:
                self._refuse_section(section)
        self._tell()

    def give_up(self, problem: Problem) -> None:
        """Note why a file or a folder says nothing."""
        self._told.append(problem)

    def finish(self) -> Reading:
        """What was valid, and what was not."""
        wishes = (*self._defaults, *self._wishes)
        return Reading(
            NO_CONFIGURATION._replace(
                wishes=wishes, whole=not self._told, altnames=_list_altnames(wishes), **self._said),
            self._told, self._headings)

    def _tell(self) -> None:
        """What is wrong with the file, in the order of lines, as much of it as anybody reads."""
        told = [problem for _, problem in sorted(self._problems, key=lambda one: one[0])]
        more = len(told) - _TOLD_AT_MOST
        rest = [Problem(f"{self._path}: and {more} lines more are wrong", USAGE)] * (more > 0)
        self._told += [*told[:_TOLD_AT_MOST], *rest]
        self._problems = []

    def _read_default(self, section: Section) -> None:
        for entry in section.entries:
            if entry.key in _DEFAULTS:
                field, read = _DEFAULTS[entry.key]
                value = self._try(read, entry)
                if value is not None:
                    self._said[field] = value
            elif entry.key == "manage":
                self._defaults += [Wishes(one, managed=True) for one in self._list_patterns(entry)]
            elif entry.key == "exclude":
                self._defaults += [Wishes(one, excluded=True) for one in self._list_patterns(entry)]
            elif entry.key in CHECK_KEYS:
                self._defaults.append(Wishes(_EVERY, **self._read_wish(entry)))
            elif entry.key in _READERS:
                self._complain(entry.line, f"{entry.key} would be every interface's: ignored (put "
                                           "it into a section of one, such as [eth0])")
            else:
                self._refuse_key(entry, DEFAULT_KEYS)

    def _read_section(self, section: Section) -> None:
        values: dict[str, Any] = {}
        for entry in section.entries:
            if entry.key in _READERS:
                values |= self._read_wish(entry)
            else:
                self._refuse_key(entry, SECTION_KEYS)
        self._headings.append(Heading(f"{self._path}:{section.line}", section.name,
                                      values.get("mark") or ""))
        self._wishes.append(Wishes(section.name, **values))

    def _read_wish(self, entry: Entry) -> dict[str, Any]:
        """The field of Wishes that a key is about, with its value."""
        field, read = _READERS[entry.key]
        return {field: self._try(read, entry)}

    def _list_patterns(self, entry: Entry) -> list[str]:
        patterns = split_list(entry.value)
        wrong = [one for one in patterns if not is_pattern(one) or _is_word(one)]
        for one in wrong:
            meant = " (yes or no is for a section such as [eth0])" * _is_word(one)
            self._complain(entry.line, f"{entry.key}: {quote(one)} is no pattern of interface "
                                       f"names: ignored{meant}")
        return [one for one in patterns if one not in wrong]

    def _try(self, read: Callable[[str, str, str], Any], entry: Entry) -> Any:
        """The value, None where it makes no sense."""
        try:
            return read(f"{self._path}:{entry.line}", entry.key, entry.value)
        except Problem as problem:
            self._problems.append((entry.line, problem))
            return None

    def _refuse_section(self, section: Section) -> None:
        meant = "did you mean [default]?" if _is_like_default(section.name) else (
            "there are [default], and patterns of interface names such as [eth0] or [wwan*]")
        self._complain(section.line, f"there is no section {quote(f'[{section.name}]')}: ignored "
                                     f"({meant})")

    def _refuse_key(self, entry: Entry, known: tuple[str, ...]) -> None:
        # Loaded where something is wrong alone.
        from mptcp_hooks.base.text import suggest

        self._complain(entry.line, f"there is no key {quote(entry.key)} here: ignored"
                                   f"{suggest(entry.key, known)}")

    def _complain(self, line: int, text: str) -> None:
        self._problems.append((line, Problem(f"{self._path}:{line}: {text}", USAGE)))


def _is_word(text: str) -> bool:
    """Whether what should name interfaces says yes or no; a number may be a name."""
    return text.isalpha() and is_truth(text)


def _is_like_default(name: str) -> bool:
    """Whether a section's name is [default], mistyped: [defaults] can be no interface's."""
    if not name.isalpha() or not name.lower().startswith("d"):
        return False
    from mptcp_hooks.base.text import find_like

    return bool(find_like(name.lower(), (DEFAULT,)))


def _read_truth(where: str, key: str, text: str) -> bool:
    return read_truth(where, key, text, "yes or no")


def _read_roles(where: str, key: str, text: str) -> bool:
    return _read_word(where, key, text, _ROLES)


def _read_vpn(where: str, key: str, text: str) -> bool:
    return _read_word(where, key, text, _VPN)


def _read_word(where: str, key: str, text: str, words: dict[str, bool]) -> bool:
    if text not in words:
        raise wrong_value(where, key, text, " or ".join(words))
    return words[text]


def _read_preference(where: str, key: str, text: str) -> int:
    # A longer number than the largest has is refused unread.
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0
    if not 1 <= number <= PREFERENCE_AT_MOST:
        raise wrong_value(where, key, text, f"a number from 1 to {PREFERENCE_AT_MOST}, behind the "
                          "kernel's first rule, and with room before main's")
    return number


def _read_limits(where: str, key: str, text: str) -> int:
    if text not in map(str, range(1, ENDPOINTS_AT_MOST + 1)):
        raise wrong_value(where, key, text, f"a number from 1 to {ENDPOINTS_AT_MOST}")
    return int(text)


def _read_gateways(where: str, key: str, text: str) -> tuple[str, ...]:
    if "%" in text:
        raise wrong_value(where, key, text, "without %: the section says of which interface")
    return read_gateways(where, key, text)


def _read_targets(where: str, key: str, text: str) -> tuple[Target, ...]:
    # A file without a check does not load it, and so for those that follow.
    from mptcp_hooks.intent.checks import read_targets

    return read_targets(where, key, text)


def _read_interval(where: str, key: str, text: str) -> int:
    from mptcp_hooks.intent.checks import read_interval

    return read_interval(where, key, text)


def _read_failures(where: str, key: str, text: str) -> int:
    from mptcp_hooks.intent.checks import read_failures

    return read_failures(where, key, text)


def _read_mark(where: str, key: str, text: str) -> str:
    from mptcp_hooks.intent.belongings import read_mark

    return read_mark(where, key, text)


def _read_sources(where: str, key: str, text: str) -> tuple[str, ...]:
    from mptcp_hooks.intent.belongings import read_sources

    return read_sources(where, key, text)


def _read_announced(where: str, key: str, text: str) -> tuple[str, ...]:
    from mptcp_hooks.intent.belongings import read_announced

    return read_announced(where, key, text)


# Keys of [default] alone: the field of Configuration, and what reads it.
_DEFAULTS: dict[str, tuple[str, Callable[[str, str, str], Any]]] = {
    "flags": ("flags", read_flags),
    "limits": ("limits", _read_limits),
    "preference": ("preference", _read_preference),
    "vpn": ("private", _read_vpn),
    "answer": ("answer", _read_truth),
    "way-out": ("way_out", _read_truth),
    "notice": ("notice", _read_truth),
    "roles": ("roles", _read_roles),
}
DEFAULT_KEYS = (*_DEFAULTS, "manage", "exclude", *CHECK_KEYS)
# The keys of a pattern's section: the field of Wishes, and what reads it.
_READERS: dict[str, tuple[str, Callable[[str, str, str], Any]]] = {
    "flags": ("flags", read_flags),
    "table": ("table", read_table),
    "gateway": ("gateways", _read_gateways),
    "manage": ("managed", _read_truth),
    "exclude": ("excluded", _read_truth),
    "way-out": ("way_out", _read_truth),
    "check": ("targets", _read_targets),
    "check-interval": ("interval", _read_interval),
    "check-failures": ("failures", _read_failures),
    "mark": ("mark", _read_mark),
    "sources": ("sources", _read_sources),
    "announce": ("announced", _read_announced),
}
SECTION_KEYS = tuple(_READERS)
