"""How large things are: what a reader must hold in her head at once."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path for folder in ("weedout_core", "backends", "reference", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_lists_of_parameters_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 250, "is it still one idea?"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            positional = len(node.args.posonlyargs) + len(node.args.args)
            assert positional <= 8, f"{node.name} has {positional} positional parameters: group what belongs together"


def test_no_file_is_named_as_what_the_package_exports() -> None:
    import weedout_core as wc

    faces = {"nn", "random", "ask_tell", "backend", "scores", "errors"}
    names = {name for face in faces for name in getattr(wc, face).__all__} | {*wc.__all__} - faces
    named = [path for path in (ROOT / "weedout_core").rglob("*.py") if "lab" not in path.parts and path.stem in names]
    assert named == [], "a reader who opens the file looks for the function, and gets the module"
