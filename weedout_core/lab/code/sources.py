"""What code of the user's is made of: the file that defines it, and the modules of hers that this imports."""

import ast
import inspect
import marshal
import sysconfig
from collections.abc import Callable, Iterator
from importlib.machinery import all_suffixes
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

from weedout_core.lab.files import read_file, sha256

_LIBRARY = "weedout_core"  # its version is recorded beside a run


def source(function: Callable[..., Any]) -> str:
    """The SHA-256 of the files of a function, by which a run knows it again; "" for one of this library.

    These are the file that defines it, and what that imports from its own folder or package, at the top or in a
    function, and so on from there. Installed libraries are not among them, nor modules whose names are computed.
    A function that was typed in has no file: it is known by its code.

    Raises:
        RunError: a file cannot be read.
    """
    function = inspect.unwrap(function)  # a decorator may stand in another file
    module = function.__module__ or ""
    if _top(module) == _LIBRARY:
        return ""
    path = Path(inspect.getsourcefile(function) or "")
    if not path.is_file():
        return sha256(marshal.dumps(function.__code__))
    files = modules(module, path.resolve())
    return sha256(
        *(
            f"{name} {sha256(read_file(file))}\n".encode(errors="surrogateescape")
            for name, file in sorted(files.items())
        )
    )


def modules(module: str, path: Path) -> dict[str, Path]:
    """The files of a module and of those that it imports from its own folder or package, by the modules' names."""
    depth = module.count(".") + (path.stem == "__init__")
    root = path.parents[depth]
    installed = str(root) in {str(Path(place).resolve()) for place in sysconfig.get_paths().values()}
    found, waiting = {module: path}, [module]
    while waiting:
        name = waiting.pop()
        for other in _imports(name, found[name]):
            own = _top(other) == _top(module) if installed else _top(other) != _LIBRARY
            if own and other not in found and (file := _file(root, other)):
                found[other] = file
                waiting.append(other)
    return found


def _imports(module: str, path: Path) -> Iterator[str]:
    """The names of all modules that a file may import, with the packages that they lie in."""
    try:
        tree = ast.parse(read_file(path))
    except (SyntaxError, ValueError):  # not of Python, or nothing that Python could import
        return
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        for name in _named(node, package):
            parts = name.split(".")
            yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))


def _named(node: ast.AST, package: str) -> list[str]:
    """What an import statement names; a relative one within a package."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level <= len(package.split(".")) * bool(package):
        whole = resolve_name("." * node.level + (node.module or ""), package)
        return [whole, *(f"{whole}.{alias.name}" for alias in node.names)]  # a name may be a module
    return []


def _file(root: Path, module: str) -> Path | None:
    """The file of a module below a folder; None if it is not there, as one of an installed library."""
    place = root.joinpath(*module.split("."))
    files = (Path(f"{stem}{suffix}") for stem in (place / "__init__", place) for suffix in all_suffixes())
    return next((file for file in files if file.is_file()), None)


def _top(module: str) -> str:
    return module.partition(".")[0]
