# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine that answers what another one answered when it was recorded (tests/lab/record_status).

`machine.txt` holds a question a line, after a `$`, and below it the answer: a program's
output, or its status and its words after a `!`; a file's text; the limits; who runs. Subflows,
each a token and two addresses, since and until when MPTCP is off, or `no` where it is on, and
why paths are out is written by hand, and so is by which tunnel each family leaves, and of TCP
connections the own address with the round trip in milliseconds.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Container, Iterable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from mptcp_hooks.base.entry import main
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import Limits, Tunnel
from mptcp_hooks.base.spawn import Outcome
from mptcp_hooks.engine import record
from mptcp_hooks.engine.counted import Counted
from mptcp_hooks.engine.faults import Fault
from mptcp_hooks.engine.off import Off
from mptcp_hooks.intent.event import Event
from mptcp_hooks.intent.ifupdown import read_events
from mptcp_hooks.intent.settings import NO_CONFIGURATION, Configuration
from mptcp_hooks.intent.stanza_lines import StanzaLine
from mptcp_hooks.machine.sockets import TCP_ESTABLISHED
from mptcp_hooks.machine.subflows import Subflow
from mptcp_hooks.machine.traffic import Flow
from mptcp_hooks.status import command, looks
from mptcp_hooks.status.questions import AskedMachine

_LIMITS, _RUNNING, _SUBFLOWS, _OFF = "ip mptcp limits", "pgrep", "subflows", "off"
_NOT_OFF, _FAULTS, _TUNNELS, _FLOWS = "no", "faults", "tunnels", "flows"


class CannedMachine(AskedMachine):
    """Answers from the text of a machine.txt; KeyError where it was not asked that."""

    def __init__(self, text: str) -> None:
        self._answers = {question: answer for question, _, answer in (
            block.partition("\n") for block in text.removeprefix("$ ").split("\n$ "))}

    def run(self, program: str, *arguments: str) -> Outcome:
        answer = self._answers[" ".join((program, *arguments))]
        if answer.startswith("! "):
            status, _, errors = answer[2:].partition(" ")
            return Outcome(int(status), "", errors)
        return Outcome(0, answer, "")

    def read_file(self, path: str) -> str:
        return self._answers[f"cat {path}"]

    def read_limits(self) -> Limits | None:
        numbers = self._answers[_LIMITS].split()
        return Limits(*map(int, numbers)) if numbers else None

    def list_running(self, names: Iterable[str]) -> list[str]:
        return self._answers[" ".join((_RUNNING, *names))].split()

    def read_subflows(self) -> list[Subflow]:
        lines = self._answers.get(_SUBFLOWS, "").splitlines()
        return [Subflow(int(token), local, remote, TCP_ESTABLISHED, 0, 0.0, True)
                for token, local, remote in map(str.split, lines)]

    def read_flows(self, addresses: frozenset[str]) -> list[Flow]:
        lines = self._answers.get(_FLOWS, "").splitlines()
        return [Flow(own, 1, 2, 0, 0, 0, 0.0, float(rtt) / 1000)
                for own, rtt in map(str.split, lines) if own in addresses]

    def list_faults(self) -> tuple[Fault, ...]:
        lines = self._answers.get(_FAULTS, "").splitlines()
        return tuple(Fault(address, why, int(since))
                     for address, since, why in (line.split(" ", 2) for line in lines))

    def list_lacks(self) -> tuple[str, ...]:
        return tuple(self._answers.get("old templates", "").split())

    def list_forwarded(self) -> tuple[int, ...]:
        return tuple(map(int, self._answers.get("forwarded", "").split()))

    def ask_ruleset(self) -> tuple[dict[str, Any], ...]:
        return tuple(json.loads(self._answers.get("ruleset", "[]")))

    def counts_marks(self, device: str) -> bool:
        return device in self._answers.get("counts marks", "").split()

    def find_tunnels(
        self, families: Iterable[int], uplinks: Container[int]
    ) -> tuple[Tunnel, ...]:
        lines = self._answers.get(_TUNNELS, "").splitlines()
        return tuple(Tunnel(int(family), device) for family, device in map(str.split, lines))

    def find_off(self) -> tuple[bool, Off | None]:
        noted = self._answers[_OFF].split()
        if noted == [_NOT_OFF]:
            return False, None
        return True, Off(int(noted[0]), int(noted[1]), tuple(noted[2:])) if noted else None

    def read_clock(self) -> float:
        return 1000.0

    def pause(self, seconds: float) -> None:
        """Nothing goes on here."""

    def read_configuration(self) -> tuple[Configuration, list[Problem]]:
        return NO_CONFIGURATION, []

    def ask_stanzas(self, iface: str) -> list[Event]:
        return read_events([{"IFACE": iface}])

    def ask_environments(self, iface: str) -> list[dict[str, str]]:
        return []

    def list_stanza_lines(self) -> list[StanzaLine]:
        return []

    def list_up(self) -> list[str]:
        return []

    def list_complaints(self) -> list[str]:
        return []

    def is_monitored(self) -> bool:
        return True

    def load_earlier(self) -> Counted | None:
        return None


class RecordingMachine(AskedMachine):
    """The machine it runs on; `lines` are what a machine.txt has of what it was asked."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def run(self, program: str, *arguments: str) -> Outcome:
        outcome = super().run(program, *arguments)
        failed = f"! {outcome.status} {outcome.errors}"
        self._note(" ".join((program, *arguments)), failed if outcome.status else outcome.output)
        return outcome

    def read_file(self, path: str) -> str:
        text = super().read_file(path)
        self._note(f"cat {path}", text)
        return text

    def read_limits(self) -> Limits | None:
        limits = super().read_limits()
        self._note(_LIMITS, " ".join(map(str, limits or ())))
        return limits

    def list_running(self, names: Iterable[str]) -> list[str]:
        # Reads a file for each process, none of which is worth a line.
        running = AskedMachine().list_running(names)
        self._note(" ".join((_RUNNING, *names)), " ".join(running))
        return running

    def _note(self, question: str, answer: str) -> None:
        lines = [f"$ {question}", *answer.rstrip("\n").split("\n")] if answer else [f"$ {question}"]
        self.lines += lines


def hide_endpoints(machine: str) -> str:
    """The text of a machine whose kernel shows endpoints to root alone."""
    return re.sub(r"(?m)(?<=^\$ ip -j mptcp endpoint\n).*", "! 2 Operation not permitted", machine)


def run_status(
    case: Path, *arguments: str, change: Callable[[str], str] = str
) -> tuple[int, str]:
    """The status and the output of mptcp_status on the machine of a case, changed in its text."""
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        # A checkout may be writable by a group, which a record must not be.
        for file in (case / "record").glob("*"):
            shutil.copyfile(file, f"{folder}/{file.name}")
            Path(folder, file.name).chmod(0o644)
        patch.setattr(record, "RECORD", folder)
        machine = CannedMachine(change((case / "machine.txt").read_text()))
        patch.setattr(looks, "AskedMachine", lambda: machine)
        # What a release changes.
        patch.setattr(looks, "__version__", "0")
        patch.setenv("LC_ALL", "C.UTF-8")
        patch.setattr("sys.argv", ["mptcp_status", *arguments])
        with redirect_stdout(output), pytest.raises(SystemExit) as end:
            main(command.run_mptcp_status)
    output.seek(0)
    assert isinstance(end.value.code, int)
    return end.value.code, output.read().replace(folder, "/run/mptcp-hooks")
