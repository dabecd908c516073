"""What the README and the pages of docs/ show works: their snippets, their commands, their links."""

import csv
import json
import os
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.processes import run_python
from weedout_core.lab.cli import main
from weedout_core.lab.commands import sweep
from weedout_core.lab.commands.checked_run import source_of

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("WEEDOUT_DATA_DIR", ROOT.parent / "shared" / "data"))
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
README = PAGES["README.md"]
RESULTS = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")

#: Every command that a page shows, and the test that runs it; the README's test command is what .ci/run runs.
RUN_BY = {
    'python3 -m venv .venv && .venv/bin/pip install -e ".[lab,jax]" && .venv/bin/weedout paper': (
        "test_readme.py::test_the_first_command_writes_the_papers_experiment"
    ),
    'python3 -m venv .venv && .venv/bin/pip install uv && .venv/bin/uv pip install --compile-bytecode -e ".[test]"': (
        "test_ci.py::test_the_readme_has_the_block"
    ),
    'WEEDOUT_REQUIRE=numpy,jax,torch,torch_xla .venv/bin/pytest -m "not slow" -n 2 --dist worksteal': (
        "test_ci.py::test_the_readme_has_the_block"
    ),
    "weedout judge magnitude snip": "test_readme.py::test_a_users_function_is_judged",
    "weedout judge snip --backend torch": "test_readme.py::test_a_users_model_is_judged_on_her_data",
    "weedout judge snip small_dense": "test_readme.py::test_snip_is_judged_on_a_subset_of_cifar",
    "weedout plan --dataset cifar10": "test_readme.py::test_the_papers_own_task_is_planned",
    "weedout paper --dataset cifar10": "test_readme.py::test_a_wide_resnet_learns_a_subset_of_cifar",
    "weedout paper --workers 2": "../lab/test_workers.py::test_two_workers_give_the_bytes_of_one_process",
    "weedout paper --engine ray": "../lab/test_engines.py::test_ray_gives_the_bytes_of_one_process",
    "weedout plan --workers 8": "../lab/test_plan.py::test_workers_take_as_long_as_the_one_that_ends_last",
    "weedout plan --hidden 256 128 32 --allocation": "test_readme.py::test_nodes_go_where_a_users_function_says",
    "weedout paper --backend torch --hidden 256 128 32 --sparsity 0.8 --strategy": (
        "test_readme.py::test_a_users_strategy_and_fitness_search"
    ),
    "weedout paper --backend torch --hidden 256 128 32 --sparsity 0.8 --training-steps": (
        "test_readme.py::test_candidates_are_trained_for_a_few_steps"
    ),
    "weedout paper --backend torch --hidden 256 128 32 --sparsity 0.8 0.95 --search-epochs": (
        "test_readme.py::test_a_search_goes_on_while_its_winner_trains"
    ),
    "weedout paper --backend torch --hidden 256 128 32 --sparsity 0.8 0.95": (
        "test_readme.py::test_nodes_go_where_the_draw_has_them"
    ),
    "weedout judge magnitude snip --backend torch --granularity connection": (
        "test_readme.py::test_single_weights_are_judged"
    ),
    "weedout paper --backend torch --network vgg-8 --granularity connection --allocation smart_ratio": (
        "test_readme.py::test_weights_of_convolutions_are_allotted"
    ),
    "weedout paper --backend torch --network vgg-8 --granularity channel": "test_readme.py::test_channels_are_masked",
    "weedout sweep --vary hidden 16": "test_readme.py::test_widths_are_swept",
    "weedout conform toy": "../conformance/test_toy_backend.py::test_the_toy_backend_passes",
    '.venv/bin/pip install -e ".[bench]" && .venv/bin/python -m benchmarks': (
        "test_benchmarks.py::test_the_small_mode_runs"
    ),
}
#: Options on the pages that are not of weedout: of pytest and of the benchmarks.
OTHER_OPTIONS = {"--hypothesis-profile", "--quick"}


CIFAR = pytest.mark.skipif(
    not (DATA / "cifar-10-batches-bin").is_dir(), reason=f"CIFAR-10 is not at {DATA}: set WEEDOUT_DATA_DIR"
)


class Snippet(NamedTuple):
    """A block of Python, and the block of text after it: what it prints."""

    code: str
    printed: str | None


def blocks(language: str, text: str | None = None) -> list[str]:
    """The blocks in a language, indented ones too, of a page or of all."""
    everything = "\n".join(PAGES.values()) if text is None else text
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", everything, flags=re.MULTILINE | re.DOTALL)


def snippets(text: str) -> list[Snippet]:
    found = re.findall(r"^ *```python\n(.*?)^ *```\n(?:\n?```text\n(.*?)^```)?", text, flags=re.MULTILINE | re.DOTALL)
    return [Snippet(code, printed or None) for code, printed in found]


SNIPPETS = {f"{page}:{number}": one for page, text in PAGES.items() for number, one in enumerate(snippets(text))}


def agrees(shown: str, printed: str) -> bool:
    """Whether the same is printed: numbers with a decimal point within 2 %, everything else to the letter.

    On another machine the last bits of floats differ, and a few of the 297 test images with them.
    """
    decimal = re.compile(r"\d+\.\d+")
    numbers = [[float(number) for number in decimal.findall(text)] for text in (shown, printed)]
    words = [decimal.sub("#", text).strip() for text in (shown, printed)]
    return words[0] == words[1] and numbers[1] == pytest.approx(numbers[0], rel=0.02)


@pytest.mark.parametrize("snippet", SNIPPETS.values(), ids=SNIPPETS)
@pytest.mark.slow
def test_snippets_run_and_print_what_the_page_shows(snippet: Snippet, tmp_path: Path) -> None:
    printed = run_python("-c", snippet.code, folder=tmp_path)
    assert printed, "a snippet should show something"
    if snippet.printed is not None:
        assert agrees(snippet.printed, printed), f"the page shows\n{snippet.printed}but it prints\n{printed}"


def test_no_snippet_is_overlooked() -> None:
    assert len(SNIPPETS) == sum(text.count("```python") for text in PAGES.values())
    printed = [one for one in SNIPPETS.values() if one.printed is not None]
    assert len(printed) == sum(text.count("```text") for text in PAGES.values()), "what prints it stands right above"


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a: 88.6%\n", "a: 88.9%\n", True),
        ("a: 88.6%\n", "a: 80.1%\n", False),
        ("a: 88.6%\n", "b: 88.6%\n", False),
        ("512 nodes\n", "511 nodes\n", False),
    ],
)
def test_what_is_printed_is_compared(shown: str, printed: str, same: bool) -> None:
    assert agrees(shown, printed) == same


def test_every_command_on_the_pages_is_run_by_a_test() -> None:
    commands = [line for block in blocks("bash") for line in block.splitlines()]
    assert len(commands) == len(RUN_BY)
    for command in commands:
        assert any(command.startswith(known) for known in RUN_BY), f"which test runs {command}?"
    for place in RUN_BY.values():
        file, test = place.split("::")
        assert f"def {test}" in (Path(__file__).parent / file).read_text(encoding="utf-8"), place


@pytest.mark.slow
def test_the_first_command_writes_the_papers_experiment(tmp_path: Path) -> None:
    command = shlex.split(blocks("bash")[0].strip())
    assert command[-2:] == [".venv/bin/weedout", "paper"], f"the first command ends in {command[-2:]}"
    narrower = ("--hidden", "48", "48")
    printed = run_python("-m", "weedout_core", "paper", *narrower, folder=tmp_path)
    (folder,) = (tmp_path / "runs").iterdir()
    with (folder / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    cells = {(row["sparsity"], row["arm"], row["repeat"]) for row in rows}
    assert len(rows) == len(cells) == 5 * 2 * 5, f"{len(rows)} rows, {len(cells)} cells"
    chance = 0.1
    assert all(float(row["test_accuracy"]) > 8 * chance for row in rows), "every arm learns digits at every sparsity"
    assert (folder / "figure2.png").read_bytes().startswith(b"\x89PNG")
    assert "identical by" in printed, "at sparsity 0 both arms are one network, and the table says so"


@pytest.mark.slow
def test_every_option_they_mention_exists(capsys: pytest.CaptureFixture[str]) -> None:
    def shown_by(*arguments: str) -> str:
        assert main(arguments) == 0
        return capsys.readouterr().out

    text = "\n".join(PAGES.values())
    commands = ("paper", "judge", "sweep", "plan", "conform", "report", "compare")
    helped = {command: shown_by(command, "--help") for command in commands}
    for command, shown in helped.items():
        mentioned = re.findall(rf"weedout {command} [^`\n]*?(--[^`\n]*)", text)
        assert mentioned, f"the pages show weedout {command}"
        for option in re.findall(r"--[a-z][\w-]+", " ".join(mentioned)):
            assert option in shown, f"the pages mention {option} of weedout {command}"
    for option in set(re.findall(r"`(--[a-z][\w-]+)", text)) - OTHER_OPTIONS:
        assert option in "".join(helped.values()), f"the pages mention {option}"
    assert "numpy" in shown_by("doctor")


@pytest.mark.skipif(not (DATA / "mnist").is_dir(), reason=f"MNIST is not at {DATA}: set WEEDOUT_DATA_DIR")
@pytest.mark.slow
def test_mnist_is_read_from_its_folder(tmp_path: Path) -> None:
    small = "--sparsity 0.8 --repeats 1 --population 2 --generations 1 --epochs 1 --hidden 32"
    run_python(
        "-m", "weedout_core", "paper", "--dataset", "mnist", "--data-dir", str(DATA), *small.split(), folder=tmp_path
    )


def wide_resnet_command(command: str) -> list[str]:
    """The arguments of the one command of its kind that trains a Wide ResNet."""
    (found,) = [block for block in blocks("bash") if block.startswith(f"weedout {command} --dataset cifar10 ")]
    return shlex.split(found)[1:]


@CIFAR
@pytest.mark.slow
def test_a_wide_resnet_learns_a_subset_of_cifar(tmp_path: Path) -> None:
    """The command shown, for fewer examples and epochs, which come later and win, at one sparsity: each is compiled."""
    less = "--train-examples 64 --test-examples 64 --population 2 --epochs 4 --batch-size 8"
    without_dense = " ".join(wide_resnet_command("paper")).replace("--sparsity 0 0.8", "--sparsity 0.8").split()
    run_python(
        *("-m", "weedout_core", *without_dense, "--data-dir", str(DATA), *less.split()),
        folder=tmp_path,
    )
    (folder,) = (tmp_path / "runs").iterdir()
    with (folder / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["sparsity"], row["arm"]) for row in rows] == [("0.8", "weedout"), ("0.8", "control")]
    assert all(float(row["train_accuracy"]) > 0.1 for row in rows), "more than chance after 32 steps"


@CIFAR
@pytest.mark.slow
def test_snip_is_judged_on_a_subset_of_cifar(tmp_path: Path) -> None:
    """The command shown, for fewer examples, candidates and repeats; the committed report is of the command shown."""
    (shown,) = [block.strip() for block in blocks("bash") if block.startswith("weedout judge snip small_dense ")]
    committed = json.loads((ROOT / "docs" / "cifar10-snip" / "config.json").read_text(encoding="utf-8"))
    assert set(shlex.split(shown)) <= set(shlex.split(committed["command"]))
    fewer = shlex.split(shown.replace("--repeats 5", "--repeats 2"))[1:]
    less = "--train-examples 64 --test-examples 64 --validation-batch 8 --population 2 --epochs 1 --backend torch"
    run = ("-m", "weedout_core", *fewer, "--data-dir", str(DATA), "--out", "run", *less.split())
    printed = run_python(*run, folder=tmp_path)
    assert re.search(r"snip (is|and weedout are) .* at sparsity 80 %", printed)
    with (tmp_path / "run" / "results.csv").open(encoding="utf-8") as ours:
        arms = {row["arm"] for row in csv.DictReader(ours)}
    with (ROOT / "docs" / "cifar10-snip" / "results.csv").open(encoding="utf-8") as theirs:
        assert {row["arm"] for row in csv.DictReader(theirs)} == arms


@pytest.mark.slow
def test_a_users_function_is_judged(tmp_path: Path) -> None:
    page = PAGES["docs/verdict.md"]
    (command,) = (line for line in blocks("bash", page)[0].splitlines())
    (module,) = blocks("py", page)
    (tmp_path / "my_methods.py").write_text(module, encoding="utf-8")
    small = ("--hidden", "64", "32", "--population", "10", "--epochs", "5")
    printed = run_python("-m", "weedout_core", *shlex.split(command)[1:], *small, folder=tmp_path)
    for method in ("magnitude", "snip", "outgoing"):
        for sparsity in (80, 90):
            said = rf"{method} (is|and weedout are) .* at sparsity {sparsity} %"
            assert re.search(said, printed), f"no sentence on {method} at {sparsity} %"


@pytest.mark.slow
def test_a_users_model_is_judged_on_her_data(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    page = PAGES["docs/adopt.md"]
    (command,) = (line for line in blocks("bash", page)[0].splitlines())
    (models,) = (block for block in blocks("py", page) if "def small(seed)" in block)
    (tmp_path / "my_models.py").write_text(models, encoding="utf-8")
    small = [
        "--population",
        "3",
        "--generations",
        "2",
        "--epochs",
        "2",
        "--batch-size",
        "250",
        "--sparsity",
        "0.5",
        "--repeats",
        "2",
        "--no-sanity",
    ]
    printed = run_python("-m", "weedout_core", *shlex.split(command)[1:], *small, folder=tmp_path)
    assert re.search("snip (is|and weedout are) .* at sparsity 50 %", printed), printed


def shown(page: str, part: str) -> list[str]:
    """The words of the command of a page that has this in it."""
    return shlex.split(next(one for one in blocks("bash", PAGES[page]) if part in one))


def run_small(page: str, part: str, folder: Path) -> str:
    """What the command of a page prints that has this in it, with less to do."""
    small = ["--epochs", "2", "--repeats", "2", "--population", "4", "--generations", "2"]
    return run_python("-m", "weedout_core", *shown(page, part)[1:], *small, folder=folder)


@pytest.mark.slow
def test_nodes_go_where_a_users_function_says(tmp_path: Path) -> None:
    page = PAGES["docs/search-family.md"]
    function = blocks("py", page)[0]
    (tmp_path / "my_allocations.py").write_text(function, encoding="utf-8")
    command, small = shlex.split(blocks("bash", page)[0]), ["--backend", "numpy", "--population", "2", "--repeats", "2"]
    printed = run_python("-m", "weedout_core", *command[1:], *small, "--sparsity", "0.5", folder=tmp_path)
    # 0.5 · 416 nodes over 128 + 128 + 64, as each site's portion has them
    for site, nodes, kept in (("hidden_0", 256, 83), ("hidden_1", 128, 83), ("hidden_2", 32, 32)):
        assert re.search(rf"{site} *│ *{nodes} *│ *{kept}\b", printed), printed


@pytest.mark.slow
def test_a_users_strategy_and_fitness_search(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    page = PAGES["docs/search-family.md"]
    (tmp_path / "my_search.py").write_text(blocks("py", page)[1], encoding="utf-8")
    printed = run_small("docs/search-family.md", "my_search:two_parents", tmp_path)
    assert "Fitness (my_search:accuracy_first)" in " ".join(printed.split()), printed


@pytest.mark.slow
def test_candidates_are_trained_for_a_few_steps(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    printed = run_small("docs/search-family.md", "--training-steps", tmp_path)
    assert "briefly trained (5 steps)" in " ".join(printed.split()), printed


@pytest.mark.slow
def test_a_search_goes_on_while_its_winner_trains(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    *command, initial, sparsity = shown("docs/search-family.md", "--search-epochs")
    small = ["--epochs", "4", "--repeats", "2", "--population", "4", "--generations", "2", initial, sparsity]
    printed = run_python("-m", "weedout_core", *command[1:], *small, folder=tmp_path)
    assert "partly trained (scored every epoch)" in " ".join(printed.split()), printed


@pytest.mark.slow
def test_nodes_go_where_the_draw_has_them(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    printed = run_small("docs/search-family.md", "--allocation global", tmp_path)
    assert re.search(r"^ *0\.95 ", printed, re.MULTILINE), printed


@pytest.mark.slow
def test_weights_of_convolutions_are_allotted(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    run_small("docs/search-family.md", "--allocation smart_ratio", tmp_path)
    (table,) = (tmp_path / "runs").glob("*/results.csv")
    assert {float(row["achieved_sparsity"]) for row in csv.DictReader(table.read_text().splitlines())} == {
        1 - 615 / 6152
    }


@pytest.mark.slow
def test_channels_are_masked(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    run_small("docs/search-family.md", "--granularity channel", tmp_path)
    (table,) = (tmp_path / "runs").glob("*/results.csv")
    # Of 8, 16 and 32 channels floor(0.8 · n + 1/2) are removed: 2, 3 and 6 stay.
    assert {float(row["achieved_sparsity"]) for row in csv.DictReader(table.read_text().splitlines())} == {1 - 11 / 56}


@pytest.mark.slow
def test_single_weights_are_judged(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    *command, repeats, _ = shown("docs/search-family.md", "snip --backend torch --granularity connection")
    small = ["--hidden", "32", "--epochs", "1", "--population", "4", "--generations", "2"]
    printed = run_python("-m", "weedout_core", *command[1:], repeats, "2", *small, folder=tmp_path)
    assert re.search(r"\bsnip\b.* at sparsity 95 %", printed), printed


@pytest.mark.slow
def test_widths_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The command shown, with less to do at each width, and without their reports, which take seconds to draw."""
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep, "reported", lambda path, _: source_of(path))
    (command,) = blocks("bash", PAGES["docs/sweep.md"])
    small = ["--population", "2", "--generations", "1", "--epochs", "1", "--repeats", "2"]
    assert main([*shlex.split(command)[1:], *small]) == 0
    printed = capsys.readouterr().out
    for width in (16, 64, 256, 1024):
        assert re.search(f"^hidden {width}: .*weedout .* at sparsity 80 %", printed, re.MULTILINE), width
    assert (tmp_path / "widths" / "sweep.html").is_file()


@pytest.mark.slow
def test_the_papers_own_task_is_planned(tmp_path: Path) -> None:
    """The command shown, for a narrow network of one preset with it, at one sparsity, on a backend that compiles none.

    That JAX's programs are measured, and their memory told, is seen in tests/lab/test_plan.py.
    """
    here = ["--data-dir", str(DATA), "--network", "wrn-10-2", "--sparsity", "0.8", "--backend", "torch"]
    printed = run_python("-m", "weedout_core", *wide_resnet_command("plan"), *here, folder=tmp_path)
    for said in ("wrn-10-2 on cifar10", "45,000 training, 5,000 validation and 10,000 test", "1,024 examples each"):
        assert said in printed, said


def heading(line: str) -> str:
    """The anchor of a heading, as it is made where the pages are shown."""
    return re.sub(r"[^\w -]", "", line.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text, folder = PAGES[page], (ROOT / page).parent
    linked = re.findall(r"\]\((?!https?:)([^)]+)\)", text) + re.findall(r"^\[[\w-]+\]: (?!https?:)(\S+)", text, re.M)
    linked += re.findall(r"(?:src|srcset)=\"(?!https?:)([^\"]+)\"", text)
    for target in linked:
        path, _, anchor = target.partition("#")
        there = folder / path if path else ROOT / page
        assert there.exists(), f"{page} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.M)
            assert anchor in map(heading, headings), f"{page} links to {target}"


def test_the_readme_is_one_screen_and_a_list_of_pages() -> None:
    lines = README.splitlines()
    assert len(lines) <= 150
    first = "\n".join(lines[:30])
    for part in ("pip install", "```python", "```text", "](docs/figure2-digits.png)", "(#documentation)"):
        assert part in first, f"{part} is to be seen at once"
    assert [page for page in PAGES if page != "README.md" and f"]({page})" not in README] == []


@pytest.mark.parametrize(
    ("recorded", "quoted"),
    [
        (
            "η = 0.8: weedout jax, times the plain PyTorch loop, at least 20",
            "{:.0f} times as fast as a plain PyTorch loop",
        ),
        ("η = 0.8: weedout jax, times the best peer, at least 1.5", "{:.1f} times as fast as the best other tool"),
        (
            "WRN-16-4, compacted at η = 0.8 on jax, times its dense step, at least 4",
            "a training step of a Wide ResNet is {:.1f} times as fast",
        ),
    ],
)
def test_speeds_are_those_that_the_results_record(recorded: str, quoted: str) -> None:
    (found,) = re.findall(rf"^- {re.escape(recorded)}: ([\d.]+)", RESULTS, re.M)
    assert quoted.format(float(found)) in " ".join(README.split())


@pytest.mark.parametrize(
    ("network", "title"), [("MLP 784-1024-1024-10", "MLP"), ("WRN-16-4, masks of channels", "WRN-16-4, channel masks")]
)
def test_speeds_on_a_gpu_are_those_that_the_results_record(network: str, title: str) -> None:
    (table,) = re.findall(rf"^\| {title}[^|]*η = 0\.8 \|.*times faster than the loop.*\n((?:\|.*\n)+)", RESULTS, re.M)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    jax, torch = (
        next(row[5] for row in rows if row[0].startswith(f"weedout {backend}, ")) for backend in ("jax", "torch")
    )
    assert f"| {network} | {jax} | {torch} |" in PAGES["docs/benchmarks.md"]
