"""By which files a run knows an arm of the user's again."""

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from weedout_core.lab.arms.own import own
from weedout_core.lab.arms.scored import magnitude
from weedout_core.lab.code.sources import modules, source
from weedout_core.lab.experiment.arms import Arm

FILES = {
    "methods.py": "import top, numpy\nfrom package.sub import leaf as other\n\ndef f(task):\n    import late\n",
    "top.py": "import below\n",
    "below.py": "import methods\n",
    "late.py": "",
    "package/__init__.py": "from .inside import *\n",
    "package/inside.py": "",
    "package/sub/leaf.py": "from .. import twin\nfrom weedout_core import nn\n",
    "package/twin.py": "",
    "beside.py": "",
    "package/beside.py": "",
    "numpy_of_hers.py": "",
}
COUNTED = {
    "methods", "top", "below", "late", "package", "package.inside", "package.sub.leaf", "package.twin",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_the_modules_are_those_that_it_imports_from_its_own_folder(folder: Path) -> None:
    found = modules("methods", folder / "methods.py")
    assert set(found) == COUNTED
    assert all(path.is_relative_to(folder) for path in found.values())


@pytest.mark.parametrize("name", FILES)
def test_a_change_is_seen_in_what_is_imported_and_in_nothing_else(folder: Path, name: str) -> None:
    function = import_module("methods").f
    before = source(function)
    (folder / name).write_text((folder / name).read_text() + "# changed\n")
    module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert (source(function) != before) == (module in COUNTED)


def test_a_module_of_a_package_is_counted_with_its_package(folder: Path) -> None:
    assert set(modules("package.inside", folder / "package" / "inside.py")) == {"package.inside"}
    leaf = folder / "package" / "sub" / "leaf.py"
    assert set(modules("package.sub.leaf", leaf)) == {"package.sub.leaf", "package", "package.inside", "package.twin"}


def test_a_script_is_counted_with_what_lies_beside_it(folder: Path) -> None:
    assert set(modules("__main__", folder / "methods.py")) == COUNTED - {"methods"} | {"__main__", "methods"}


def test_what_python_could_not_import_is_counted_and_not_followed(folder: Path) -> None:
    for content in (b"import beside\n(", b"import beside\0", "# \xe9".encode("latin-1")):
        (folder / "late.py").write_bytes(content)
        assert set(modules("methods", folder / "methods.py")) == COUNTED


def test_of_an_installed_package_only_its_own_modules_are_counted() -> None:
    optax = pytest.importorskip("optax")
    found = modules("optax", Path(optax.__file__))
    assert {name.partition(".")[0] for name in found} == {"optax"}
    assert "optax._src.base" in found


def test_an_arm_of_this_library_is_known_by_its_name_alone() -> None:
    assert source(magnitude) == ""


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    return pytest.importorskip("torch").no_grad()(function)


def test_a_decorator_of_another_library_hides_no_file(folder: Path) -> None:
    function = import_module("methods").f
    assert source(decorated(function)) == source(function)


def test_functions_that_were_typed_in_are_told_apart_by_their_code() -> None:
    def typed(text: str) -> Arm:
        scope: dict[str, Any] = {}
        exec(f"def made(task): return {text}", scope)
        return own(scope["made"])

    assert typed("{'a': 1}").source == typed("{'a': 1}").source != typed("{'a': 2}").source
