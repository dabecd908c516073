"""A copy of a backend's package of its own, of which some lines are written otherwise."""

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FOLDERS = {"weedout_numpy": ROOT / "reference" / "weedout_numpy", "weedout_jax": ROOT / "backends" / "weedout_jax"}


class Edit(NamedTuple):
    """In a file of the package, such as "layers", a text that occurs once is replaced by another."""

    file: str
    old: str
    new: str


def edited_files(package: str, edits: Sequence[Edit]) -> dict[str, str]:
    """The files that are edited: {module: text}. Raises ValueError for an old text that does not occur just once."""
    files: dict[str, str] = {}
    for file, old, new in edits:
        module = f"{package}.{file}"
        text = files.get(module) or (FOLDERS[package] / f"{file}.py").read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise ValueError(f"{old!r} must occur once in {module}; it occurs {text.count(old)} times. Adapt the edit.")
        files[module] = text.replace(old, new)
    return files


def copy_of(package: str, edits: Sequence[Edit]) -> ModuleType:
    """The package imported once more, with edits. The one that was imported before stays as it is."""
    finder = _Finder(edited_files(package, edits))
    with _forgotten(package):
        sys.meta_path.insert(0, finder)
        try:
            return importlib.import_module(package)
        finally:
            sys.meta_path.remove(finder)


@contextmanager
def _forgotten(package: str) -> Iterator[None]:
    """Inside, the package was never imported; afterwards it is there as before."""

    def imported() -> dict[str, ModuleType]:
        return {name: module for name, module in sys.modules.items() if name.partition(".")[0] == package}

    before = imported()
    for name in before:
        del sys.modules[name]
    try:
        yield
    finally:
        for name in imported():
            del sys.modules[name]
        sys.modules.update(before)


class _Finder(PathFinder):
    """Finds the edited files."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        del target
        if fullname not in self._files or (spec := PathFinder.find_spec(fullname, path)) is None:  # pyright: ignore[reportArgumentType]
            return None
        spec.loader = _Loader(fullname, str(spec.origin), self._files[fullname])
        return spec


class _Loader(SourceFileLoader):
    """Loads a file as if its text were another; nothing is cached."""

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self._text = text

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self._text.encode(), self.path)
