"""Turns a template into lines, each with the template line it came from.

The only module that imports jinja2: it costs five times what the rest of a
hook does, so it is itself imported only where something must be rendered.
"""

from __future__ import annotations

import os
import sys

from mptcp_hooks.errors import USAGE, Problem
from mptcp_hooks.libraries import reach_libraries
from mptcp_hooks.value import TYPE_CHECKING

reach_libraries()

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError  # noqa: E402
from jinja2 import TemplateNotFound, TemplateSyntaxError  # noqa: E402
from jinja2.ext import Extension  # noqa: E402
from jinja2.lexer import Token, TokenStream  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_MARK = "\x1f"


class _LineNumbers(Extension):
    """Ends each line of a template's plain text with a mark and its number."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        for token in stream:
            if token.type == "data":
                pieces = token.value.split("\n")
                numbered = [f"{piece}{_MARK}{token.lineno + place}\n"
                            for place, piece in enumerate(pieces[:-1])]
                yield Token(token.lineno, "data", "".join(numbered) + pieces[-1])
            else:
                yield token


def render_template(
    name: str, folders: tuple[str, ...], variables: dict[str, Any]
) -> list[tuple[int, str]]:
    """The lines that template `name` of the first folder that has it renders to, numbered.

    Problem (`up.j2:3: ...`) where it does not parse, names an unknown variable
    or cannot be read.
    """
    environment = Environment(
        loader=FileSystemLoader(folders),
        undefined=StrictUndefined,
        finalize=_refuse_nothing,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=[_LineNumbers],
    )
    try:
        text = environment.get_template(name).render(variables)
    except TemplateSyntaxError as error:
        raise Problem(f"{error.name or name}:{error.lineno}: {error.message}", USAGE) from None
    except TemplateNotFound as error:
        place = f"{_failing_place(folders)}: " if error.name != name else ""
        raise Problem(f"{place}no template {error.name} in {' or '.join(folders)}",
                      USAGE) from None
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError,
            AttributeError, OSError) as error:
        raise Problem(f"{_failing_place(folders)}: {error}", USAGE) from None
    return _number_lines(text)


def _number_lines(text: str) -> list[tuple[int, str]]:
    lines = []
    place = 0
    for line in text.split("\n"):
        command, _, number = line.partition(_MARK)
        # A last line without its newline has no mark.
        place = int(number) if number else place + 1
        if command.strip():
            lines.append((place, " ".join(command.split())))
    return lines


def _refuse_nothing(value: object) -> object:
    if value is None or value == "":
        raise ValueError("a variable without a value")
    return value


def _failing_place(folders: tuple[str, ...]) -> str:
    """`up.j2:3`, from the traceback that is being handled; jinja2 puts the template there."""
    _, _, trace = sys.exc_info()
    place = ""
    while trace:
        folder, name = os.path.split(trace.tb_frame.f_code.co_filename)
        if folder in folders:
            place = f"{name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
