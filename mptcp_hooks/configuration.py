"""/etc/mptcp-hooks/mptcp-hooks.conf: which interfaces are uplinks though no hook tells of them.

An INI file, optional, root's own, read by mptcp_monitor(8):

    [default]
    manage = eth* wwan*
"""

from __future__ import annotations

import os
from configparser import ConfigParser, Error
from fnmatch import fnmatchcase
from stat import S_ISREG

from mptcp_hooks.errors import USAGE, Problem
from mptcp_hooks.event import NAME_CHARACTERS
from mptcp_hooks.folder import refuse_foreign
from mptcp_hooks.value import NamedTuple

PATH = "/etc/mptcp-hooks/mptcp-hooks.conf"
_SECTION, _MANAGE = "default", "manage"
# Of what is wrong, so much is said: so many characters, so many of a kind.
_SHOWN_AT_MOST, _TOLD_AT_MOST = 200, 8
_PATTERN_CHARACTERS = NAME_CHARACTERS | set("*?[]!")


class Configuration(NamedTuple):
    """`manage` are the patterns of interfaces that are set up without a hook.

    `whole` is whether nothing was wrong with the file: of one that is not, nobody
    knows what it was meant to name.
    """

    manage: tuple[str, ...]
    whole: bool

    def names(self, device: str) -> bool:
        """Whether a device is to be set up though no hook tells of it."""
        return any(fnmatchcase(device, pattern) for pattern in self.manage)


def read_configuration() -> tuple[Configuration, list[Problem]]:
    """The configuration as far as it is valid, and what is wrong with the rest."""
    try:
        patterns, problems = _read_patterns(_read_text())
    except FileNotFoundError:
        patterns, problems = [], []
    except Problem as problem:
        patterns, problems = [], [problem]
    except (Error, UnicodeDecodeError, OSError) as error:
        patterns, problems = [], [Problem(f"{PATH}: {str(error)[:_SHOWN_AT_MOST]}", USAGE)]
    return Configuration(tuple(patterns), not problems), problems


def _read_text() -> str:
    # O_NONBLOCK: a FIFO that lies there is refused instead of waited for.
    with open(os.open(PATH, os.O_RDONLY | os.O_NONBLOCK), encoding="utf-8") as file:
        held = os.fstat(file.fileno())
        refuse_foreign(PATH, held)
        if not S_ISREG(held.st_mode):
            raise Problem(f"{PATH} is not a file: remove it", USAGE)
        return file.read()


def _read_patterns(text: str) -> tuple[list[str], list[Problem]]:
    parser = ConfigParser(interpolation=None, default_section="", inline_comment_prefixes=("#",))
    parser.read_string(text, PATH)
    unknown = [f"[{section}] {key}" for section in parser.sections() for key in parser[section]
               if (section, key) != (_SECTION, _MANAGE)]
    problems = [Problem(f"{PATH}: there is no {name}: ignored (there is [{_SECTION}] {_MANAGE})",
                        USAGE) for name in unknown[:_TOLD_AT_MOST]]
    patterns = parser.get(_SECTION, _MANAGE, fallback="").split()
    wrong = [one for one in patterns if not _PATTERN_CHARACTERS.issuperset(one)]
    problems += [Problem(f"{PATH}: manage: {one[:_SHOWN_AT_MOST]!r} is no pattern of interface "
                         "names", USAGE) for one in wrong[:_TOLD_AT_MOST]]
    return [one for one in patterns if one not in wrong], problems
