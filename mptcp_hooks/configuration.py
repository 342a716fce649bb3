"""/etc/mptcp-hooks/mptcp-hooks.conf: which interfaces are uplinks though no hook tells of them.

An INI file, optional, root's own, read by mptcp_monitor(8):

    [default]
    manage = eth* wwan*
"""

from __future__ import annotations

import os
from configparser import ConfigParser, Error
from fnmatch import fnmatchcase

from mptcp_hooks.errors import USAGE, Problem
from mptcp_hooks.event import NAME_CHARACTERS
from mptcp_hooks.folder import refuse_foreign
from mptcp_hooks.value import NamedTuple

PATH = "/etc/mptcp-hooks/mptcp-hooks.conf"
_SECTION, _MANAGE = "default", "manage"
_PATTERN_CHARACTERS = NAME_CHARACTERS | set("*?[]!")


class Configuration(NamedTuple):
    """`manage` are the patterns of interfaces that are set up without a hook."""

    manage: tuple[str, ...]

    def names(self, device: str) -> bool:
        """Whether a device is to be set up though no hook tells of it."""
        return any(fnmatchcase(device, pattern) for pattern in self.manage)


def read_configuration() -> tuple[Configuration, list[Problem]]:
    """The configuration as far as it is valid, and what is wrong with the rest."""
    try:
        with open(PATH, encoding="utf-8") as file:
            refuse_foreign(PATH, os.fstat(file.fileno()))
            parser = ConfigParser(interpolation=None, default_section="")
            parser.read_file(file)
    except FileNotFoundError:
        return Configuration(()), []
    except Problem as problem:
        return Configuration(()), [problem]
    except (Error, UnicodeDecodeError, OSError) as error:
        return Configuration(()), [Problem(f"{PATH}: {error}", USAGE)]
    problems = [Problem(f"{PATH}: there is no [{section}] {key}: ignored "
                        f"(there is [{_SECTION}] {_MANAGE})", USAGE)
                for section in parser.sections() for key in parser[section]
                if (section, key) != (_SECTION, _MANAGE)]
    patterns = parser.get(_SECTION, _MANAGE, fallback="").split()
    problems += [Problem(f"{PATH}: manage: {pattern!r} is no pattern of interface names", USAGE)
                 for pattern in patterns if not _PATTERN_CHARACTERS.issuperset(pattern)]
    return Configuration(tuple(
        pattern for pattern in patterns if _PATTERN_CHARACTERS.issuperset(pattern))), problems
