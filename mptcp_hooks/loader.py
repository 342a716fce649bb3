"""Imports this package's modules from their compiled files, by Python's own rules but less of it.

The general import machinery looks through folders and joins paths for a third
of the hook's import time. This finder goes straight to __pycache__, and takes a
file only if it is what Python would take: same magic number, same time and size
of the source (importlib's reference, "Cached bytecode invalidation"). Whatever
else it finds is left to the machinery, which comes next.
"""

from __future__ import annotations

import gc
import posix
import sys
from marshal import loads

TYPE_CHECKING = False

if TYPE_CHECKING:
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from importlib.util import MAGIC_NUMBER
    from types import CodeType, ModuleType
else:
    # The same objects, without importing importlib's public faces.
    from _frozen_importlib import ModuleSpec
    from _frozen_importlib_external import MAGIC_NUMBER

    Loader = object

_PACKAGE = "mptcp_hooks."
_FOLDER = __file__.rpartition("/")[0]
# The floors from which the hook takes modules; their __init__.py hold a docstring alone.
_FLOORS = ("base", "machine", "intent", "engine")
_SUFFIX = f".{sys.implementation.cache_tag}.pyc"
# Four bytes each: magic number, flags (0: invalidated by time), time and size of the source.
_HEADER = 16
_BY_TIME = MAGIC_NUMBER + bytes(4)
# None of ours comes near it; one that did would be left to the machinery.
_SIZE_AT_MOST = 1 << 16


class _Loader(Loader):
    def __init__(self, code: CodeType | None) -> None:
        self._code = code

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave the making of the module to Python."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code, as importlib asks of a loader; a floor has none."""
        if self._code:
            assert module.__spec__
            module.__file__ = module.__spec__.origin
            exec(self._code, module.__dict__)


class _Finder:
    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The module of this package by that name, None where the machinery must look."""
        if not name.startswith(_PACKAGE):
            return None
        path = name[len(_PACKAGE):].replace(".", "/")
        if path in _FLOORS:
            spec = ModuleSpec(name, _Loader(None), is_package=True)
            spec.submodule_search_locations = [f"{_FOLDER}/{path}"]
            return spec
        source = f"{_FOLDER}/{path}.py"
        floor, _, module = path.rpartition("/")
        compiled = _read_compiled(source, f"{_FOLDER}/{floor}/__pycache__/{module}{_SUFFIX}")
        return ModuleSpec(name, _Loader(loads(compiled)), origin=source) if compiled else None


def import_quickly() -> None:
    """Use this finder, and look for no garbage: a hook is over before there is any."""
    gc.disable()
    sys.meta_path.insert(0, _Finder)


def _read_compiled(source: str, path: str) -> bytes | None:
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
    return data[_HEADER:] if data[:_HEADER] == expected and len(data) < _SIZE_AT_MOST else None
