# SPDX-License-Identifier: GPL-2.0-or-later
"""An `ip` on the lab's client that fails, hangs, is not alone, or the last its caller sees."""

from __future__ import annotations

from tests.lab.support.lab import Lab

_FAILING = """\
#!/bin/sh
lines=$(cat)
if echo "$lines" | grep -q '{words}'; then
    echo "$lines" | grep -v '{words}' | /run/ip.real "$@"
    echo "RTNETLINK answers: Cannot allocate memory" >&2
    echo "Command failed -:$(echo "$lines" | grep -n '{words}' | head -1 | cut -d: -f1)" >&2
    exit 2
fi
echo "$lines" | exec /run/ip.real "$@"
"""

_HANGING = """\
#!/bin/sh
case "$*" in
    *-batch*) touch /run/ip.hangs; sleep {seconds} ;;
esac
exec /run/ip.real "$@"
"""


def break_ip(lab: Lab, words: str) -> None:
    """Make `ip` fail, as for want of memory, on lines that hold these words."""
    _replace_ip(lab, _FAILING.format(words=words))


def kill_after(lab: Lab, count: int) -> None:
    """Make `ip` run so many lines of a batch and kill its caller: a power cut in the middle."""
    _replace_ip(lab, f'#!/bin/sh\nhead -n {count} | /run/ip.real "$@"; kill -9 $PPID\n')


def meddle(lab: Lab, command: str) -> None:
    """Have somebody run `ip COMMAND` after each of our batches, before we look what it made."""
    _replace_ip(lab, '#!/bin/sh\n/run/ip.real "$@"\nstatus=$?\n'
                f"/run/ip.real {command} 2>/dev/null\nexit $status\n")


def hang_ip(lab: Lab, seconds: int) -> None:
    """Make `ip -batch` wait so long before it does anything."""
    _replace_ip(lab, _HANGING.format(seconds=seconds))


def hang_after(lab: Lab, count: int) -> None:
    """Make `ip` run so many lines of a batch, and hang."""
    _replace_ip(lab, '#!/bin/sh\ncase "$*" in\n'
                f'    *-batch*) head -n {count} | /run/ip.real "$@"; sleep 3600 ;;\nesac\n'
                'exec /run/ip.real "$@"\n')


def note_lines(lab: Lab) -> None:
    """Have `ip -batch` note its lines, for list_noted."""
    _replace_ip(lab, '#!/bin/sh\ncase "$*" in\n'
                '    *-batch*) tee -a /run/ip.lines | /run/ip.real "$@" ;;\n'
                '    *) exec /run/ip.real "$@" ;;\nesac\n')


def list_noted(lab: Lab) -> list[str]:
    return lab.read("/run/ip.lines").splitlines()


def hang_with_lines(lab: Lab, seconds: int) -> None:
    """Make `ip -batch` wait so long once it has its lines, and note who gave them to it."""
    _replace_ip(lab, '#!/bin/sh\ncase "$*" in *-batch*) ;; *) exec /run/ip.real "$@" ;; esac\n'
                "lines=$(cat)\necho $PPID >/run/ip.caller.new\n"
                f"mv /run/ip.caller.new /run/ip.caller\nsleep {seconds}\n"
                'echo "$lines" | /run/ip.real "$@"\n')


def mend_ip(lab: Lab) -> None:
    lab.client.run("umount", "--lazy", lab.client.run("readlink", "-f", "/usr/sbin/ip").strip())


def _replace_ip(lab: Lab, script: str) -> None:
    lab.write("/run/ip", script)
    lab.client.run("sh", "-ec", "chmod +x /run/ip; cp $(readlink -f /usr/sbin/ip) /run/ip.real; "
                   "mount --bind /run/ip $(readlink -f /usr/sbin/ip)")
