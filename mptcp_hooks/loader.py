# SPDX-License-Identifier: GPL-2.0-or-later
"""Imports this package's modules from their compiled files, by Python's own rules but less of it.

Python's machinery makes a specification of each module, asks finders and takes locks,
which is a quarter of the hook's import time. What stands here in place of `__import__`
goes straight to __pycache__, and takes a file only if it is what Python would take: same
magic number, same time and size of the source (importlib's reference, "Cached bytecode
invalidation"). Whatever else it finds, and all that is not this package's, is left to the
machinery.
"""

# Not `from __future__ import annotations`, which would be imported before anything stands in
# its place: annotations are quoted.

import builtins
import gc
import posix
import sys
from marshal import loads

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.util import MAGIC_NUMBER
    from types import CodeType, ModuleType
else:
    # The same objects, without importing importlib's public faces.
    from _frozen_importlib_external import MAGIC_NUMBER

    ModuleType = type(sys)

_NAME = "mptcp_hooks"
_PACKAGE = f"{_NAME}."
_FOLDER = __file__.rpartition("/")[0]
# The floors from which the hook takes modules; their __init__.py hold a docstring alone.
_FLOORS = frozenset(_PACKAGE + floor for floor in ("base", "machine", "intent", "engine"))
_SUFFIX = f".{sys.implementation.cache_tag}.pyc"
# Four bytes each: magic number, flags (0: invalidated by time), time and size of the source.
_HEADER = 16
_BY_TIME = MAGIC_NUMBER + bytes(4)
# None of ours comes near it; one that did would be left to the machinery.
_SIZE_AT_MOST = 1 << 16

# The compiler alone heeds `from __future__ import annotations`, and Python searches its library
# for the module that the statement names nevertheless.
_FUTURE = ModuleType("__future__")
vars(_FUTURE)["annotations"] = None
_FROM_FUTURE = ("annotations",)

_modules = sys.modules
_by_machinery = __import__


def import_quickly() -> None:
    """Import so from now on, and look for no garbage: a hook is over before there is any."""
    gc.disable()
    builtins.__import__ = _import


def _import(
    name: str, globals: "Mapping[str, object] | None" = None,
    locals: "Mapping[str, object] | None" = None, fromlist: "Sequence[str] | None" = (),
    level: int = 0,
) -> ModuleType:
    """What an import statement calls, see `__import__`; ours are all `from x import y`."""
    if fromlist == _FROM_FUTURE and name == "__future__":
        return _FUTURE
    if not fromlist or not name.startswith(_PACKAGE):
        return _by_machinery(name, globals, locals, fromlist or (), level)
    module = _modules.get(name) or _load(name)
    if name in _FLOORS:
        for own in fromlist:
            if not hasattr(module, own):
                _load(f"{name}.{own}")
    return module


def _load_package() -> ModuleType:
    """The package itself, which is a module and a folder of modules."""
    source = f"{_FOLDER}/__init__.py"
    code = _read_code(source, f"{_FOLDER}/__pycache__/__init__{_SUFFIX}")
    if code is None:
        return _by_machinery(_NAME)
    module = ModuleType(_NAME)
    module.__package__, module.__file__, module.__path__ = _NAME, source, [_FOLDER]
    _run(code, module)
    return module


def _load(name: str) -> ModuleType:
    above, _, own = name.rpartition(".")
    parent = _modules.get(above) or (_load_package() if above == _NAME else _load(above))
    path = f"{_FOLDER}/{name[len(_PACKAGE):].replace('.', '/')}"
    module = ModuleType(name)
    if name in _FLOORS:
        module.__package__, module.__path__ = name, [path]
        _modules[name] = module
    else:
        source = f"{path}.py"
        code = _read_code(source, f"{path[:-len(own)]}__pycache__/{own}{_SUFFIX}")
        if code is None:
            return _by_machinery(name, None, None, ("",))
        module.__package__, module.__file__ = above, source
        _run(code, module)
    setattr(parent, own, module)
    return module


def _run(code: "CodeType", module: ModuleType) -> None:
    """Make the module what its code says; one that cannot be made is not there."""
    _modules[module.__name__] = module
    try:
        exec(code, module.__dict__)
    except BaseException:
        del _modules[module.__name__]
        raise


def _read_code(source: str, path: str) -> "CodeType | None":
    try:
        info = posix.stat(source)
        file = posix.open(path, posix.O_RDONLY)
    except OSError:
        return None
    try:
        # A number instead of asking for the size: one call less for each module.
        data = posix.read(file, _SIZE_AT_MOST)
    finally:
        posix.close(file)
    expected = _BY_TIME + (int(info.st_mtime) & 0xFFFFFFFF | info.st_size << 32).to_bytes(
        8, "little")
    if data[:_HEADER] != expected or len(data) == _SIZE_AT_MOST:
        return None
    code: "CodeType" = loads(memoryview(data)[_HEADER:])
    return code
