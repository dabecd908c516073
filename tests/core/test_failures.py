"""What is said of a user's function that failed: its error in one line, and the line of hers."""

import importlib.util
import os
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

from weedout_core._guard import failures
from weedout_core._guard.own_functions import call_own
from weedout_core.errors import ConfigError, DataError


def module(path: Path, text: str) -> ModuleType:
    """The module of a file, by the file's name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


FAILS = "def fails():\n    raise ArithmeticError('no   \\n more')\n"


@pytest.mark.parametrize("name", ["mine", "weedout_mine", "weedout_coresearch"])
def test_the_line_is_that_of_the_users_file_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    mine = module(tmp_path / f"{name}.py", FAILS)
    with pytest.raises(ConfigError) as caught:
        call_own(mine.fails, "the fitness f")
    assert str(caught.value) == f"the fitness f failed, in {tmp_path / name}.py, line 2: ArithmeticError: no more"


@pytest.mark.parametrize(("library", "theirs"), [("lib", True), ("lib_of_mine", False), ("", False)])
def test_a_line_of_an_installed_library_is_not_the_users(
    library: str, theirs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder beside an environment, or one that holds it, is hers."""
    monkeypatch.setattr(failures, "_INSTALLED", (f"{tmp_path / 'lib'}{os.sep}",))
    mine = module(tmp_path / library / "mine.py", FAILS)
    with pytest.raises(ArithmeticError) as caught:
        mine.fails()  # this line is the user's
    assert ("mine.py" in failures.place_of(caught.value)) is not theirs
    assert failures.place_of(caught.value).startswith(", in ")


def test_libraries_are_installed_where_python_says() -> None:
    assert any(sysconfig.get_path("purelib") in folder for folder in failures._INSTALLED)
    assert all(folder.endswith(os.sep) for folder in failures._INSTALLED), "a folder that begins alike is another"


@pytest.mark.parametrize("text", ["raise ValueError('none')", "return 3"])
def test_an_error_without_a_text_is_told_by_its_kind(text: str, tmp_path: Path) -> None:
    lines = f"class Mute(Exception):\n    def __str__(self):\n        {text}\n\ndef fails():\n    raise Mute\n"
    mine = module(tmp_path / "mine.py", lines)
    with pytest.raises(ConfigError, match=r"the fitness f failed, in .*mine\.py, line 6: Mute: it has no text$"):
        call_own(mine.fails, "the fitness f")


def test_what_this_library_refuses_is_told_as_it_is_where_no_line_is_the_users() -> None:
    with pytest.raises(DataError, match=r"^no data$"):
        call_own(module_of_ours().refuses, "the allocation erk")


def module_of_ours() -> ModuleType:
    """A module under the name of this library."""
    made = ModuleType("weedout_core.made")
    made.__dict__["DataError"] = DataError
    exec("def refuses():\n    raise DataError('no data')\n", made.__dict__)
    return made
