"""What is shipped: the packages and nothing else, typed, with honest metadata."""

import email.message
import email.parser
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import weedout_core as wc

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
#: Each import package, and the folder of the tree that holds it.
PACKAGES = {
    "weedout_core": ROOT,
    "weedout_numpy": ROOT / "reference",
    "weedout_jax": ROOT / "backends",
    "weedout_torch": ROOT / "backends",
}


def build(target: str, source: Path, into: Path) -> Path:
    """Build one distribution with the project's own build backend, in this environment: nothing is downloaded."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(into)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"the {target} does not build:\n{done.stdout}{done.stderr}"
    (found,) = into.iterdir()
    return found


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


def files_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def read(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (path,) = [path for path in archive.namelist() if path.endswith(f".dist-info/{name}")]
        return archive.read(path).decode()


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> email.message.Message:
    return email.parser.Parser().parsestr(read(wheel, "METADATA"))


def in_tree(package: str) -> set[str]:
    """The files of a package that belong in a wheel."""
    folder = PACKAGES[package]
    return {
        path.relative_to(folder).as_posix()
        for path in (folder / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_nothing_generic_lands_in_site_packages(wheel: Path) -> None:
    top = {name.split("/")[0] for name in files_in(wheel)}
    assert top == {*PACKAGES, f"weedout_core-{wc.__version__}.dist-info"}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_shipped_whole_and_typed(wheel: Path, package: str) -> None:
    shipped = {name for name in files_in(wheel) if name.startswith(f"{package}/")}
    assert shipped == in_tree(package)
    assert f"{package}/py.typed" in shipped, "type checkers read annotations only where this file is"
    assert f"{package}/__init__.py" in shipped


def test_folders_that_contain_packages_are_no_packages() -> None:
    for folder in ("reference", "backends", "tests"):
        assert not (ROOT / folder / "__init__.py").exists(), f"{folder} must not be importable by that name"


def test_the_source_distribution_holds_what_it_takes_to_build_and_test(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    top = {name.split("/")[0] for name in names}
    wanted = {
        "weedout_core",
        "reference",
        "backends",
        "tests",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
    }
    assert wanted <= top
    allowed = {
        "benchmarks",
        "docs",
        "examples",
        ".ci",
        ".github",
        ".gitignore",
        ".pre-commit-config.yaml",
        "CITATION.cff",
        "CONTRIBUTING.md",
        "PKG-INFO",
        "RELEASING.md",
        "SECURITY.md",
    }
    assert top <= wanted | allowed, "nothing else may slip in"
    assert not [name for name in names if "__pycache__" in name or ".venv" in name]
    for package, folder in PACKAGES.items():
        inside = folder.relative_to(ROOT)
        assert {(inside / name).as_posix() for name in in_tree(package)} <= names


def test_the_source_distribution_builds_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    again = build("wheel", source, tmp_path / "wheel")
    assert files_in(again) == files_in(wheel)


def test_the_metadata_says_who_and_what(metadata: email.message.Message) -> None:
    assert metadata["Name"] == "weedout-core"
    assert metadata["Version"] == wc.__version__, "the version stands once, in weedout_core/__init__.py"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata.get_all("Project-URL") == ["Paper, https://arxiv.org/abs/2403.08265"]
    extras = {"bench", "jax", "lab", "ray", "test", "torch", "torch-xla", "tpu"}
    assert set(metadata.get_all("Provides-Extra", [])) == extras


def test_requirements_have_lower_bounds_and_no_upper_ones(metadata: email.message.Message) -> None:
    requirements = {str(line).split(";")[0].strip() for line in metadata.get_all("Requires-Dist", [])}
    # PyTorch/XLA ended at one version, which needs the PyTorch of that version: the extras torch-xla and test.
    pinned = {"torch==2.9.0", "torch-xla==2.9.0"}
    assert pinned < requirements
    requirements -= pinned
    for requirement in requirements:
        name = re.split(r"[\[<>=!~ ]", requirement)[0]
        assert not re.search(r"<|==|~=", requirement), f"{requirement}: no upper pins"
        # libtpu is versioned by JAX, and weedout-core[...] is this distribution itself.
        assert ">=" in requirement or name in {"libtpu", "weedout-core"}, f"{requirement}: which version is enough?"


def test_the_core_needs_no_framework(metadata: email.message.Message) -> None:
    plain = [str(line) for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in str(line)]
    names = {re.split(r"[\[<>=!~ ;]", line)[0] for line in plain}
    assert names == {"numpy", "scipy", "array-api-compat", "jaxtyping"}


def test_the_command_is_installed(wheel: Path) -> None:
    assert "weedout = weedout_core.__main__:command" in read(wheel, "entry_points.txt")


def test_the_changelog_knows_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(wc.__version__)}\]", text, re.MULTILINE), "a version without an entry"
    assert re.search(rf"^Sampler version {wc.SAMPLER_VERSION}\.$", text, re.MULTILINE), "users must see it change"


def test_the_license_is_shipped(wheel: Path) -> None:
    assert read(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_text(encoding="utf-8")
