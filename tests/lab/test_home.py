"""The user's folder, ``~``: a shell leaves it in ``--out=~/run``, and no folder of that name is ever made."""

from pathlib import Path
from typing import Any, get_type_hints

import pytest

import weedout_core as wc
from weedout_core.lab.commands import options
from weedout_core.lab.commands.options import RunOptions
from weedout_core.lab.commands.parsing import parse
from weedout_core.lab.data import download
from weedout_core.lab.data.datasets import load_dataset

#: A command line for each option that takes a path, and each of those options in what was parsed.
COMMANDS = {
    "paper --out=~/x --data-dir=~/x --cache=~/x": ("RunOptions.out", "RunOptions.data_dir", "RunOptions.cache"),
    "plan --data-dir=~/x": ("ProbeOptions.data_dir",),
    "judge --masks ~/x": ("MethodOptions.masks",),
    "report ~/x --out=~/x": ("ReportOptions.run", "ReportOptions.out"),
    "compare ~/x ~/x --out=~/x": ("CompareOptions.runs", "CompareOptions.out"),
}


def _paths(value: Any) -> list[Path]:
    """The paths in the fields of options, and in what these hold."""
    if isinstance(value, Path):
        return [value]
    inside = value if isinstance(value, tuple) else vars(value).values() if hasattr(value, "__dict__") else ()
    return [path for one in inside for path in _paths(one)]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("line", COMMANDS)
def test_every_path_option_knows_the_users_folder(home: Path, line: str) -> None:
    assert _paths(parse(line.split())) == [home / "x"] * line.count("~")


def test_no_option_that_takes_a_path_is_left_out() -> None:
    groups = [kind for kind in vars(options).values() if hasattr(kind, "__dataclass_fields__")]
    taken = {
        f"{kind.__name__}.{name}"
        for kind in groups
        for name, hint in get_type_hints(kind).items()
        if "Path" in str(hint)
    }
    assert taken == {name for names in COMMANDS.values() for name in names}


def test_the_users_folder_is_known_in_python_too(home: Path) -> None:
    assert RunOptions(out=Path("~/x")).out == home / "x"
    assert RunOptions(out=Path("~nobody-of-that-name/x")).out == Path("~nobody-of-that-name/x"), "as in a shell"
    with pytest.raises(wc.errors.DataError, match=f"{home / 'x'} is not a folder"):
        load_dataset("mnist", "~/x")
    with pytest.raises(wc.errors.RunError, match=str(home / "x")):
        wc.Subnetwork.load("~/x")


@pytest.mark.parametrize(
    ("named", "found"), [("~/x", "{home}/x"), ("~nobody-of-that-name", "{here}/~nobody-of-that-name")]
)
def test_the_cache_may_be_in_the_users_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch, named: str, found: str
) -> None:
    monkeypatch.setenv("WEEDOUT_CACHE", named)
    assert download._cache("mnist") == Path(found.format(home=home, here=Path.cwd()))
