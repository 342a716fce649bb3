"""mptcp-hooks.conf: what is valid counts, what is not is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mptcp_hooks import configuration
from mptcp_hooks.configuration import read_configuration


def read(path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> tuple[tuple[str, ...], str]:
    file = path / "mptcp-hooks.conf"
    file.write_text(text)
    monkeypatch.setattr(configuration, "PATH", str(file))
    read_in, problems = read_configuration()
    return read_in.manage, " ".join(str(problem).replace(str(file), "FILE") for problem in problems)


def test_no_file_names_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "PATH", str(tmp_path / "none"))
    assert read_configuration() == (((), True), [])


def test_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "# a comment\n[default]\nmanage = eth* wwan[0-3]\n  usb?\n"
    assert read(tmp_path, text, monkeypatch) == (("eth*", "wwan[0-3]", "usb?"), "")
    known, _ = read_configuration()
    assert [name for name in ("eth0", "eth10", "wwan3", "wwan4", "usb0", "usb10", "veth0")
            if known.names(name)] == ["eth0", "eth10", "wwan3", "usb0"]


@pytest.mark.parametrize("text, manage, said", [
    ("[default]\nmanage = eth* a;b\n", ("eth*",),
     "FILE: manage: 'a;b' is no pattern of interface names"),
    ("[default]\nmanaged = eth*\nmanage = en*\n", ("en*",),
     "FILE: there is no [default] managed: ignored (there is [default] manage)"),
    ("[eth0]\nmanage = yes\n", (),
     "FILE: there is no [eth0] manage: ignored (there is [default] manage)"),
    ("manage = eth*\n", (), "FILE: File contains no section headers. "
     "file: 'FILE', line: 1 'manage = eth*\\n'"),
    ("[default]\nmanage = a\nmanage = b\n", (),
     "FILE: While reading from 'FILE' [line 3]: option 'manage' in section 'default' already "
     "exists"),
])
def test_what_is_wrong_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, manage: tuple[str, ...], said: str
) -> None:
    assert read(tmp_path, text, monkeypatch) == (manage, said)


def test_a_file_that_others_may_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read(tmp_path, "[default]\nmanage = eth*\n", monkeypatch) == (("eth*",), "")
    (tmp_path / "mptcp-hooks.conf").chmod(0o666)
    known, (problem,) = read_configuration()
    assert known.manage == () and "is not root's own" in str(problem)
