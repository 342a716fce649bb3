# SPDX-License-Identifier: GPL-2.0-or-later
"""What is said where a BPF program cannot be loaded; how one is, the lab shows."""

from __future__ import annotations

import errno
from types import SimpleNamespace

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.run import bpf
from mptcp_hooks.run.bpf import Force


class Function:
    """One of libbpf's, which answers so."""

    def __init__(self, answer: int) -> None:
        self._answer = answer

    def __call__(self, *arguments: object) -> int:
        return self._answer


def make_library(**answers: int) -> SimpleNamespace:
    """A libbpf all of whose functions succeed but for these."""
    names = ("bpf_object__open_file", "bpf_object__load", "bpf_object__find_map_by_name",
             "bpf_object__find_program_by_name", "bpf_map__fd", "bpf_map_update_elem",
             "bpf_program__attach", "bpf_link__pin", "libbpf_set_print")
    # An object is a pointer, and not to nothing.
    usual = {name: int("find" in name or name.endswith(("open_file", "attach"))) for name in names}
    return SimpleNamespace(**{name: Function(answers.get(name, answer))
                              for name, answer in usual.items()})


def load(monkeypatch: pytest.MonkeyPatch, number: int = 0, **answers: int) -> Force:
    monkeypatch.setattr(bpf, "CDLL", lambda name, use_errno: make_library(**answers))
    monkeypatch.setattr(bpf, "get_errno", lambda: number)
    return Force("/")


def test_a_machine_without_the_library_is_told_where_it_is(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, use_errno: bool) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(bpf, "CDLL", refuse)
    with pytest.raises(Problem, match=r"^it needs libbpf\.so\.1 \(apt install libbpf1; "):
        Force("/")


@pytest.mark.parametrize(("number", "words"), [
    (errno.EPERM, "the kernel does not permit it, which takes CAP_BPF and CAP_PERFMON"),
    (errno.EACCES, "the kernel does not permit it, which takes CAP_BPF and CAP_PERFMON"),
    (errno.ESRCH, "it needs Linux 6.6 or later"), (errno.ENOENT, "it needs Linux 6.6 or later"),
    (errno.E2BIG, "the kernel takes no more than 38 of these at once"),
    (524, "this kernel lets no BPF program stand in for its functions on "),
    (errno.ENOMEM, "Cannot allocate memory"),
])
def test_numbers_of_the_kernel_are_told_in_words(
    number: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some functions answer with a number below zero, others with nothing, and errno has it."""
    for answers in ({"bpf_object__load": -number}, {"bpf_map_update_elem": -number},
                    {"bpf_program__attach": 0}, {"bpf_object__open_file": 0}):
        with pytest.raises(Problem) as raised:
            load(monkeypatch, number, **answers)
        assert str(raised.value).startswith(words)


def test_a_pin_that_is_refused_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch).pin("/sys/fs/bpf/x")
    with pytest.raises(Problem, match="^File exists$"):
        load(monkeypatch, bpf_link__pin=-errno.EEXIST).pin("/sys/fs/bpf/x")
