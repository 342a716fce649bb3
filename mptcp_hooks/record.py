"""/run/mptcp-hooks: what we were told of each interface, and what we made of it.

The only module that writes there. One file an interface, `IFACE.paths`, and
`limits` for the path manager's; lines of text, each a key and a value.
"""

from __future__ import annotations

from mptcp_hooks.folder import PATHS_SUFFIX, RECORD, Folder, open_folder
from mptcp_hooks.netlink import Limits
from mptcp_hooks.plan import Path
from mptcp_hooks.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_LIMITS = "limits"
_NUMBERS = ("ifindex", "family", "table")
_TRUTHS = ("onlink", "default", "primary", "endpoint")


class Installed(NamedTuple):
    """A path with the lines that made it and that undo it.

    `kernel` is what the kernel held right after (plan.describe_kernel), '' while
    it is not known to be whole.
    """

    path: Path
    up: tuple[str, ...]
    down: tuple[str, ...]
    kernel: str


class Stanza(NamedTuple):
    """One stanza: its environment as told, and the paths it has.

    Where nothing was told, the paths are what could not be undone.
    """

    told: tuple[str, ...]
    paths: tuple[Installed, ...]


class LimitsRecord(NamedTuple):
    """The limits before our first endpoint, what we raised them to, whose endpoints are ours.

    `restore` are the lines that go back to `before`.
    """

    before: Limits
    raised: Limits
    owners: tuple[str, ...]
    restore: tuple[str, ...]


class Store:
    """The record: `open_store(lock=False)` reads it, for a dry run without rights."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *raised: object) -> None:
        self._folder.close()

    def load(self, iface: str) -> tuple[Stanza, ...]:
        """The stanzas on record of an interface; none where there is no record."""
        lines = self._folder.read_lines(iface + PATHS_SUFFIX)
        try:
            return tuple(_decode_stanzas(lines))
        except (ValueError, KeyError, IndexError, TypeError):
            raise self._folder.damaged(iface + PATHS_SUFFIX) from None

    def save(self, iface: str, stanzas: tuple[Stanza, ...]) -> None:
        """Replace an interface's record; an empty one leaves no file."""
        self._folder.write_lines(iface + PATHS_SUFFIX, list(_encode_stanzas(stanzas)))

    def list_interfaces(self) -> list[str]:
        """All interfaces on record, sorted."""
        return sorted(name.removesuffix(PATHS_SUFFIX) for name in self._folder.list_names()
                      if name.endswith(PATHS_SUFFIX))

    def list_labels(self, device: str) -> list[str]:
        """The interfaces on record that are `device` or an alias of it."""
        return [iface for iface in self.list_interfaces()
                if iface.partition(":")[0] == device]

    def load_limits(self) -> LimitsRecord | None:
        """The limits on record; None where none of the endpoints is ours."""
        pairs = [line.split(" ", 1) for line in self._folder.read_lines(_LIMITS)]
        try:
            known = dict(pairs)
            return LimitsRecord(
                before=_decode_limits(known["before"]),
                raised=_decode_limits(known["raised"]),
                owners=tuple(value for key, value in pairs if key == "owner"),
                restore=tuple(value for key, value in pairs if key == "down"),
            ) if pairs else None
        except (ValueError, KeyError, TypeError):
            raise self._folder.damaged(_LIMITS) from None

    def save_limits(self, limits: LimitsRecord | None) -> None:
        """Replace the limits on record; None leaves no file."""
        lines = [] if limits is None else [
            "before {} {}".format(*limits.before),
            "raised {} {}".format(*limits.raised),
            *(f"owner {owner}" for owner in limits.owners),
            *(f"down {line}" for line in limits.restore),
        ]
        self._folder.write_lines(_LIMITS, lines)


def open_store(lock: bool) -> Store:
    """The record; Problem where its folder is not root's own or somebody keeps the lock."""
    return Store(open_folder(RECORD, lock))


def _encode_stanzas(stanzas: tuple[Stanza, ...]) -> Iterator[str]:
    for stanza in stanzas:
        yield "stanza"
        for line in stanza.told:
            yield "told " + line.replace("\\", "\\\\").replace("\n", "\\n")
        for installed in stanza.paths:
            yield "path"
            for field, value in zip(Path._fields, installed.path):
                yield f"{field} {' '.join(value) if isinstance(value, tuple) else value}"
            yield from (f"up {line}" for line in installed.up)
            yield from (f"down {line}" for line in installed.down)
            yield f"kernel {installed.kernel}"


def _decode_stanzas(lines: list[str]) -> Iterator[Stanza]:
    for block in _split(lines, "stanza"):
        head, *paths = _split(["path", *block], "path")
        told = tuple(_decode_told(line.removeprefix("told ")) for line in head)
        yield Stanza(told, tuple(_decode_path(path) for path in paths))


def _decode_told(text: str) -> str:
    return "\\".join(piece.replace("\\n", "\n") for piece in text.split("\\\\"))


def _decode_path(lines: list[str]) -> Installed:
    pairs = [line.split(" ", 1) for line in lines]
    known = dict(pairs)
    return Installed(
        path=Path(*(_decode_field(field, known[field]) for field in Path._fields)),
        up=tuple(value for key, value in pairs if key == "up"),
        down=tuple(value for key, value in pairs if key == "down"),
        kernel=known["kernel"],
    )


def _decode_field(field: str, text: str) -> Any:
    if field in _NUMBERS:
        return int(text)
    if field in _TRUTHS:
        return {"True": True, "False": False}[text]
    return tuple(text.split()) if field == "flags" else text


def _decode_limits(text: str) -> Limits:
    subflows, add_addr_accepted = text.split()
    return Limits(int(subflows), int(add_addr_accepted))


def _split(lines: list[str], heading: str) -> list[list[str]]:
    """The lines between headings; what stands before the first must be nothing."""
    blocks: list[list[str]] = []
    for line in lines:
        if line == heading:
            blocks.append([])
        else:
            blocks[-1].append(line)
    return blocks
