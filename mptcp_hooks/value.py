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
                if len(values) > len(fields) or not named.keys() <= set(fields[len(values):]):
                    raise TypeError(f"{name} takes {fields}, not {values} {named}")
                given = dict(zip(fields, values)) | named
                try:
                    rest = (given[field] if field in given else defaults[field] for field in fields)
                    return tuple.__new__(cls, rest)
                except KeyError as missing:
                    raise TypeError(f"{name} needs {missing}") from None

            namespace.update(
                __slots__=(),
                __new__=new,
                __repr__=_represent,
                _fields=fields,
                _replace=_replace,
            )
            return type(name, (tuple,), namespace)

    def _represent(self):
        pairs = (f"{field}={value!r}" for field, value in zip(self._fields, self))
        return f"{type(self).__name__}({', '.join(pairs)})"

    def _replace(self, **changes):
        return type(self)(**(dict(zip(self._fields, self)) | changes))

    NamedTuple = type.__new__(_Fields, "NamedTuple", (), {})
