""".ci/run: it runs the README's own command, stops at the first failure, and leaves a developer's .venv alone."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = "pytest ruff pyright lint-imports"
PASSING = f"""\
mkdir -p .venv/bin
for tool in {TOOLS}; do printf '#!/bin/sh\\necho "$(basename "$0") $*" >> steps\\n' > .venv/bin/$tool; done
chmod +x .venv/bin/*
echo "==== 3 passed in 0.10s ===="
"""


def run(folder: Path, command: str | None, ci: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a copy of .ci/run in a folder whose README has this test command."""
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci" / "run")
    block = "" if command is None else f"<!-- test-command -->\n```bash\n{command}```\n"
    (folder / "README.md").write_text(f"# Title\n\n```bash\nexit 9\n```\n\n{block}\n```bash\nexit 8\n```\n")
    env = {name: value for name, value in os.environ.items() if name != "CI"}
    if ci is not None:
        env["CI"] = ci
    return subprocess.run(
        [str(folder / ".ci" / "run")], cwd="/", env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def test_it_runs_the_readmes_command_then_the_rest_and_every_check(tmp_path: Path) -> None:
    done = run(tmp_path, PASSING)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "steps").read_text().splitlines() == [
        "pytest -m slow -n 2 --dist worksteal",
        "ruff format --check",
        "ruff check",
        "pyright ",
        "lint-imports ",
    ]
    assert done.stdout.rstrip().splitlines()[-1] == "==== 3 passed in 0.10s ====", (
        "the log ends with the tests' summary"
    )


@pytest.mark.parametrize("command", ["exit 3\n", "false\ntrue\n", "false | cat\n", "echo $undefined_variable\n"])
def test_a_failing_command_fails_it(tmp_path: Path, command: str) -> None:
    assert run(tmp_path, command).returncode != 0
    assert not (tmp_path / "steps").exists()


@pytest.mark.parametrize("tool", TOOLS.split())
def test_a_failing_check_fails_it(tmp_path: Path, tool: str) -> None:
    done = run(tmp_path, f"{PASSING}printf '#!/bin/sh\\nexit 1\\n' > .venv/bin/{tool}\n")
    assert done.returncode != 0
    assert "all steps passed" not in done.stdout


def test_a_readme_without_the_block_fails_it(tmp_path: Path) -> None:
    done = run(tmp_path, None)
    assert done.returncode == 1
    assert "README.md has no fenced block after a line <!-- test-command -->" in done.stderr


def test_a_developers_environment_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "mine").touch()
    done = run(tmp_path, PASSING)
    assert done.returncode == 1
    assert "ci: .venv exists" in done.stderr
    assert (tmp_path / ".venv" / "mine").exists()


def test_in_ci_the_environment_is_made_afresh(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "old").touch()
    done = run(tmp_path, PASSING, ci="true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / ".venv" / "old").exists()


def test_the_readme_has_the_block_and_it_runs_pytest() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n<!-- test-command -->\n```bash\n") == 1
    block = text.split("\n<!-- test-command -->\n```bash\n")[1].split("```")[0]
    assert ' -e ".[test]"' in block
    assert 'pytest -m "not slow" ' in block.splitlines()[-1], "the command ends with the tests that .ci/run leaves out"
