# SPDX-License-Identifier: GPL-2.0-or-later
"""Turns a template into commands, each checked, refused by the template's line it came from.

The only module that imports jinja2: it costs five times what the rest of a
hook does, so it is itself imported only where something must be rendered.
"""

from __future__ import annotations

import os
import sys
from functools import cache

from mptcp_hooks.base.errors import USAGE, Problem
from mptcp_hooks.base.libraries import reach_libraries
from mptcp_hooks.base.line import find_fault, without_family
from mptcp_hooks.base.value import TYPE_CHECKING

reach_libraries()

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError  # noqa: E402
from jinja2 import TemplateNotFound, TemplateSyntaxError  # noqa: E402
from jinja2.ext import Extension  # noqa: E402
from jinja2.lexer import Token, TokenStream  # noqa: E402
from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_MARK = "\x1f"


class _LineNumbers(Extension):
    """Ends each line of a template's plain text with a mark and its number."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        """The template's tokens, as jinja2 asks of an extension."""
        for token in stream:
            if token.type == "data":
                pieces = token.value.split("\n")
                numbered = [f"{piece}{_MARK}{token.lineno + line}\n"
                            for line, piece in enumerate(pieces[:-1])]
                yield Token(token.lineno, "data", "".join(numbered) + pieces[-1])
            else:
                yield token


class _FlatLoader(FileSystemLoader):
    """Templates of the folders alone: what lies below them, no kept set would notice."""

    def get_source(self, environment: Any, template: str) -> Any:
        """The template's text, as jinja2 asks of a loader."""
        if "/" in template:
            raise TemplateNotFound(template)
        return super().get_source(environment, template)


def render_commands(
    name: str, folders: tuple[str, ...], variables: dict[str, Any]
) -> tuple[str, ...]:
    """The `ip` commands that template `name` of the first folder that has it renders to.

    Problem (`up.j2:3: ...`) where it does not parse, names an unknown variable,
    cannot be read, or a line is not one rule, route or mptcp command.
    """
    numbered = _render_template(name, folders, variables)
    return tuple(_check(line, f"{name}:{number}") for number, line in numbered)


def _render_template(
    name: str, folders: tuple[str, ...], variables: dict[str, Any]
) -> list[tuple[int, str]]:
    try:
        text = _make_environment(folders).get_template(name).render(variables)
    except TemplateSyntaxError as error:
        raise Problem(f"{error.name or name}:{error.lineno}: {error.message}", USAGE) from None
    except TemplateNotFound as error:
        where = f"{_find_failure(folders)}: " if error.name != name else ""
        raise Problem(f"{where}no template {error.name} in {' or '.join(folders)}",
                      USAGE) from None
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError,
            AttributeError, OSError, RecursionError) as error:
        raise Problem(f"{_find_failure(folders) or name}: {error}", USAGE) from None
    return _number_lines(text)


@cache
def _make_environment(folders: tuple[str, ...]) -> Environment:
    """Made once a process: a path takes two templates, the limits the same two."""
    return ImmutableSandboxedEnvironment(
        loader=_FlatLoader(folders),
        undefined=StrictUndefined,
        finalize=_refuse_nothing,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=[_LineNumbers],
    )


def _number_lines(text: str) -> list[tuple[int, str]]:
    lines = []
    last = 0
    for line in text.split("\n"):
        command, _, number = line.partition(_MARK)
        # A last line without its newline has no mark.
        last = int(number) if number else last + 1
        if command.strip():
            lines.append((last, " ".join(command.split())))
    return lines


def _refuse_nothing(value: object) -> object:
    if value is None or value == "":
        raise ValueError("a variable without a value")
    return value


def _find_failure(folders: tuple[str, ...]) -> str:
    """`up.j2:3`, from the traceback that is being handled; jinja2 puts the template there."""
    _, _, trace = sys.exc_info()
    where = ""
    while trace:
        folder, name = os.path.split(trace.tb_frame.f_code.co_filename)
        if folder in folders:
            where = f"{name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return where


def _check(line: str, where: str) -> str:
    """Refuse by name whatever is not one `ip` rule, route or mptcp command."""
    fault = find_fault(line)
    if fault:
        raise Problem(f"{where}: {fault}", USAGE)
    return without_family(line)
