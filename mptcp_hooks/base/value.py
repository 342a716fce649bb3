# SPDX-License-Identifier: GPL-2.0-or-later
"""NamedTuple without the standard library's: importing `typing` costs as much as half the hook.

Type checkers see the real one. At run time a class gets what this package uses
of it: fields in the order of their annotations, defaults, keywords, `_replace`
and a readable `repr`.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:
    from _collections import _tuplegetter

    class _Fields(type):
        def __new__(meta, name, bases, namespace):
            fields = tuple(namespace["__annotations__"])
            defaults = {field: namespace.pop(field) for field in fields if field in namespace}
            for index, field in enumerate(fields):
                namespace[field] = _tuplegetter(index, field)

            def new(cls, *values, **named):
                if named or len(values) != len(fields):
                    values = _fill(name, fields, values, named, defaults)
                return tuple.__new__(cls, values)

            namespace.update(
                __slots__=(),
                __new__=new,
                __repr__=_represent,
                _fields=fields,
                _replace=_replace,
            )
            return type(name, (tuple,), namespace)

    def _fill(name, fields, values, named, defaults):
        given = {**defaults, **dict(zip(fields, values)), **named}
        free = fields[len(values):]
        if len(values) > len(fields) or len(given) != len(fields) or set(named) - set(free):
            raise TypeError(f"{name} takes {fields}, not {values} {named}")
        return map(given.__getitem__, fields)

    def _represent(self):
        pairs = (f"{field}={value!r}" for field, value in zip(self._fields, self))
        return f"{type(self).__name__}({', '.join(pairs)})"

    def _replace(self, **changes):
        return type(self)(**(dict(zip(self._fields, self)) | changes))

    NamedTuple = type.__new__(_Fields, "NamedTuple", (), {})
