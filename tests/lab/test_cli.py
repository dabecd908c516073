"""The command line: every mistake is one sentence, before any work, with nothing written."""

import io
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import weedout_core as wc
from weedout_core._configs.checks import named_options
from weedout_core._configs.open_points import AS_READ
from weedout_core.lab import cli
from weedout_core.lab.arms.judged import JudgeConfig
from weedout_core.lab.commands import fields, options, parsing
from weedout_core.lab.experiment.configuration import ExperimentConfig

Weedout = Callable[..., int]

MISTAKES = [
    (["--sparsity", "-0.1"], r"--sparsity\[0\] must be a finite number in \[0, 1\), the fraction removed; got -0\.1"),
    (["--sparsity", "0", "1"], r"--sparsity\[1\] must be a finite number in \[0, 1\), the fraction removed; got 1\.0"),
    (["--sparsity", "nan"], r"--sparsity\[0\] must be a finite number in \[0, 1\), the fraction removed; got nan"),
    (["--sparsity", "0.5", "0.5"], "each of them once"),
    (["--sparsity"], "one or more values"),
    (["--population", "1"], r"--population must be an integer of at least 2 .*; got 1\. Raise population\.$"),
    (["--population", "many"], r"--population must be an integer of at least 2 .*; got 'many'\. Raise population\.$"),
    (["--patience", "0x10"], "--patience must be an integer of at least 1 or None; got '0x10'"),
    (["--network", "wrn-16-2", "--epochs", "few"], "--epochs must be an integer of at least 0; got 'few'"),
    (["--learning-rate", "1/10"], "--learning-rate must be a finite number above 0; got '1/10'"),
    (["--epochs"], "--epochs needs a value. See weedout paper --help"),
    (["--epoch", "3"], "weedout paper does not take --epoch, 3. Did you mean --epochs?"),
    (["--nesterov", "false"], "--nesterov takes no value; got 'false'. Write --nesterov or --no-nesterov alone"),
    (["--no-rescale=1"], "--no-rescale takes no value; got '1'. Write --rescale or --no-rescale alone"),
    (["a word"], "weedout paper does not take a word"),
    (["--generations", "0"], "--generations must be an integer of at least 1 or None; got 0"),
    (["--generations", "None"], "a search needs an end"),
    (["--repeats", "0"], "--repeats must be an integer of at least 1"),
    (["--epochs", "-1"], "--epochs must be an integer of at least 0"),
    (["--learning-rate", "nan"], "--learning-rate must be a finite number above 0; got nan"),
    (["--schedule", "step"], "schedule=\"step\" and step_epochs, .* need each other; got schedule='step'"),
    (["--momentum", "1"], "--momentum must be a finite number in"),
    (["--seed", "-1"], "--seed must be an integer of at least 0; got -1"),
    (["--batch-size", "0"], "--batch-size must be an integer of at least 1"),
    (["--hidden", "0"], r"--hidden\[0\] must be an integer of at least 1; got 0"),
    (["--hidden"], "--hidden must be at least one layer"),
    (["--backend", "abacus"], "unknown backend 'abacus'; known are jax, numpy, torch, torch_xla, tpu"),
    (["--device", "abacus"], "abacus"),
    (
        ["--dataset", "cifar"],
        "--dataset must be one of 'digits', .*, 'cifar100', or package.module:function, .*; got 'cifar'",
    ),
    (["--reading", "mine"], "--reading must be one of 'algorithm1', 'section3'; got 'mine'"),
    (
        ["--strategy", "mine"],
        "--strategy must be 'random_search', 'binary_tournament', 'one_plus_lambda', 'genetic', 's",
    ),
    (["--fitness", "mine"], "--fitness must be 'negative_cross_entropy', 'accuracy', or a function .* got 'mine'"),
    (["--search-precision", "mine"], "--search-precision must be one of 'highest', 'default'; got 'mine'"),
    (["--train-precision", "mine"], "--train-precision must be one of 'highest', 'default'; got 'mine'"),
    (["--interval", "mine"], "--interval must be one of"),
    (["--dataset", "mnist"], "--data-dir"),
    (["--network", "resnet"], "--network must be"),
    (["--engine", "dask"], "--engine must be one of 'processes', 'ray'; got 'dask'"),
    (["--workers", "0"], "--workers must be an integer of at least 1 or None; got 0"),
    (["--together", "0"], "--together must be an integer of at least 1 or None; got 0"),
    (
        ["--granularity", "channel"],
        r"granularity='channel' has no effect without convolutions \(network wrn-D-K or vgg-W\)",
    ),
    (["--mask-residual"], r"mask_residual=True has no effect without residual blocks \(network wrn-D-K\)"),
    (["--mask-residual", "--network", "vgg-8"], r"no effect without residual blocks \(network wrn-D-K\)"),
    (["--checkpoint-minutes", "-1"], "--checkpoint-minutes must be a finite number of at least 0"),
    *(
        (large, f"a run must fit into the memory of this machine, .* it needs at least .* GiB, most of it for {what}")
        for large, what in (
            (["--hidden", "2000000", "2000000"], "the weights of 1 x 4,000,152,000,010 parameters. Lower hidden"),
            (["--network", "wrn-6000000004-1"], "the weights of 1 x 97,.* parameters"),
            (["--network", "vgg-2000000"], "the weights of 1 x .* parameters"),
            (["--repeats", "2000000000"], "the history of 2,000,000,000 x 20 epochs. Lower epochs or repeats"),
            (["--repeats", "2000000000", "--epochs", "0"], "the record of 2,000,000,000 repeats. Lower repeats"),
            (["--epochs", "2000000000", "--repeats", "50"], "the history of 50 x 2,000,000,000 epochs. Lower epochs"),
        )
    ),
    (["--network", "wrn-3-" + 5000 * "9"], "--network must be"),
    (["--network", "wrn-9-1"], "--network must be wrn-D-K of a depth D = 6·n .*; got 'wrn-9-1'. Change D"),
    (["--network", "vgg-0"], "--network must be .* got 'vgg-0'"),
    (["--network", "vgg-٣"], "--network must be"),
    (["--network", "vgg-2000000000"], "--network must be .* got 'vgg-2000000000'"),
    (["--network", "wrn-10-1", "--batch-size", "200"], "whole groups of batch_norm_group, 128, .* has 200"),
    (["--dataset", "mnist", "--data-dir", "nowhere"], "must be a folder"),
    (["--dataset", "mnist", "--data-dir", "empty"], "must hold the file train-images-idx3-ubyte"),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("mistake", "said"), MISTAKES, ids=[" ".join(mistake) for mistake, _ in MISTAKES])
def test_a_mistake_is_one_sentence(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str], mistake: list[str], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    backend = [] if "--backend" in mistake else ["--backend", "numpy"]
    assert weedout("paper", *backend, *mistake, "--out", "run") == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("weedout: ")
    assert err.count("\n") == 1, "one line"
    assert re.search(said, err), err
    assert [path.name for path in tmp_path.iterdir()] == ["empty"], "nothing is written"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["paper", "--sparsity", "much"], "--sparsity takes numbers; got 'much'."),
        (["plan", "--colour", "blue"], "weedout plan does not take --colour, blue. See weedout plan --help."),
        (["papre"], "weedout does not take papre. Did you mean paper? See weedout --help."),
        (["--paper"], "weedout does not take --paper. Did you mean paper? See weedout --help."),
        (["report"], "weedout report needs RUN. See weedout report --help."),
        (["report", "--out"], "--out needs a value. See weedout report --help."),
        (["doctor", "now"], "weedout doctor does not take now. See weedout doctor --help."),
        (["conform", "numpy", "--examples", "few"], "Error parsing --examples: invalid literal for int() with base 10: "
         "'few'. See weedout conform --help."),
        ([], "weedout needs one of {paper, judge, sweep, report, compare, plan, doctor, conform}. See weedout --help."),
        (["paper", f"--{'x' * 999}"], f"weedout paper does not take --{'x' * 20}"),
        (["\x1b[31mred"], "weedout does not take \\x1b[31mred. See weedout --help."),
        *(([word, *more], f"weedout does not take {said}. See weedout --help.")
          for word, said in (("x", "x"), ("True", "True"), ("", "an empty word"), (" ", "an empty word"), ("~", "~"))
          for more in ([], ["conform"], ["report"], ["plan", "--backend", "numpy"])),
        (["plan", ""], "weedout plan does not take an empty word. See weedout plan --help."),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_sentence(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert weedout(*arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"weedout: {said}")
    assert err.count("\n") == 1, "no box"
    assert len(err) < 500
    assert list(tmp_path.iterdir()) == []


def test_where_boxes_are_drawn_without_lines_the_sentence_is_the_same(
    weedout: Weedout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())  # which has no encoding
    for arguments, said in ((["doctor", "now"], "does not take now"), (["report"], "needs RUN")):
        assert weedout(*arguments) == 2
        command = f"weedout {arguments[0]}"
        assert capfd.readouterr().err == f"weedout: {command} {said}. See {command} --help.\n"


def test_the_version_is_said(weedout: Weedout, capfd: pytest.CaptureFixture[str]) -> None:
    assert weedout("--version") == 0
    assert capfd.readouterr() == (f"weedout-core {wc.__version__}\n", "")
    assert weedout("--help") == 0
    assert "weedout --version" in capfd.readouterr().out


@pytest.mark.parametrize("command", ["paper", "plan"])
@pytest.mark.parametrize(
    ("twice", "said"),
    [
        ("--sparsity 0.5 --sparsity 0.6", "--sparsity must be given once; got it 2 times"),
        ("--step-epochs 1 --step_epochs=2 --step-epochs 3", "--step-epochs must be given once; got it 3 times"),
        ("--hidden=8 --hidden 9", "--hidden must be given once; got it 2 times"),
    ],
)
def test_an_option_of_several_values_given_twice_is_refused(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str], command: str, twice: str, said: str
) -> None:
    assert weedout(command, "--backend", "numpy", *twice.split()) == 2
    assert capfd.readouterr() == ("", f"weedout: {said}. Give it once, followed by all of its values.\n")
    assert list(tmp_path.iterdir()) == []


NUMBERS = sorted(fields.several((ExperimentConfig, wc.SearchConfig, wc.TrainConfig, JudgeConfig)))


@pytest.mark.parametrize("option", [*NUMBERS, "arm", "masks"])
def test_a_method_after_an_option_of_several_values_is_told_where_methods_stand(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str], option: str
) -> None:
    values = {"arm": "mine:rate mine:other", "masks": "one two"}.get(option, "2 3")
    takes = "numbers" if option in NUMBERS else "no method"
    before = ["--margin", "0.01", "--no-sanity", "magnitude"]
    assert weedout("judge", *before, f"--{option}", *values.split(), "snip", "synflow", "--epochs", "2") == 2
    assert capfd.readouterr() == (
        "",
        f"weedout: --{option} takes {takes}; got 'snip synflow'. Methods stand before options of several values: "
        f"weedout judge snip synflow --{option} {values}.\n",
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", NUMBERS)
def test_a_percentage_is_taken_for_no_method(weedout: Weedout, capfd: pytest.CaptureFixture[str], option: str) -> None:
    assert weedout("judge", "magnitude", f"--{option}", "80%") == 2
    said = f"weedout: --{option} takes numbers; got '80%'. Write each as a plain number, 80 % as 0.8.\n"
    assert capfd.readouterr() == ("", said)


@pytest.mark.parametrize("option", NUMBERS)
def test_a_word_among_numbers_is_refused_where_there_are_no_methods(
    weedout: Weedout, capfd: pytest.CaptureFixture[str], option: str
) -> None:
    assert weedout("paper", f"--{option}", "2", "snip") == 2
    assert capfd.readouterr() == ("", f"weedout: --{option} takes numbers; got 'snip'.\n")


def test_a_folder_of_masks_may_be_called_as_a_method_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "snip").mkdir()
    found = parsing.parse(["judge", "magnitude", "--masks", "snip"])
    assert isinstance(found, options.JudgeOptions)
    assert found.methods == ("magnitude", Path("snip"))


@pytest.mark.parametrize("command", ["paper", "plan"])
@pytest.mark.parametrize(
    ("joined", "said"),
    [
        ("--sparsity 0,0.8", "'0,0.8'. Write --sparsity 0 0.8"),
        ("--sparsity '[0; 0.8]' --epochs 3", "'[0; 0.8]'. Write --sparsity 0 0.8"),
        ("--hidden=64,32", "'64,32'. Write --hidden 64 32"),
        ("--step_epochs 3, 5", "'3, 5'. Write --step-epochs 3 5"),
        ("--sparsity '0 0.8'", "'0 0.8'. Write --sparsity 0 0.8"),
    ],
)
def test_values_in_one_word_are_refused_with_the_words_to_write(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str], command: str, joined: str, said: str
) -> None:
    assert weedout(command, "--backend", "numpy", *shlex.split(joined)) == 2
    option = said.split("Write ")[1].split()[0]
    assert capfd.readouterr() == ("", f"weedout: {option} takes values separated by spaces; got {said}.\n")
    assert list(tmp_path.iterdir()) == []


def test_of_a_single_value_given_twice_the_last_is_taken(
    weedout: Weedout, small: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert weedout(*small, "--epochs", "3", "--epochs", "1", "--out", "run") == 0
    assert "epoch 1/1" in capfd.readouterr().err


@pytest.mark.parametrize("damage", ["truncated", "magic", "labels"])
def test_damaged_data_is_one_sentence(
    weedout: Weedout, tiny_mnist: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], damage: str
) -> None:
    images, labels = tiny_mnist / "t10k-images-idx3-ubyte", tiny_mnist / "t10k-labels-idx1-ubyte"
    match damage:
        case "truncated":
            images.write_bytes(images.read_bytes()[:-5])
        case "magic":
            images.write_bytes(b"\x1f" + images.read_bytes()[1:])
        case _:
            labels.write_bytes(labels.read_bytes()[:-1] + b"\x0a")
    assert weedout("paper", "--backend", "numpy", "--dataset", "mnist", "--data-dir", tiny_mnist.parent) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "t10k-" in err
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_backend_that_is_not_installed_names_its_extra(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "weedout_jax", None)
    assert weedout("paper") == 2
    assert "pip install 'weedout-core[jax]'" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


_PAPER = ("paper", "--backend", "numpy")


@pytest.mark.parametrize(
    ("library", "command"),
    [
        *((library, _PAPER) for library in ("tyro", "rich", "filelock", "safetensors", "sklearn", "matplotlib")),
        ("jinja2", ("report", "run")),
        ("jinja2", ("compare", "run", "other")),
    ],
)
@pytest.mark.slow
def test_without_a_library_it_says_how_to_get_it(library: str, command: tuple[str, ...], tmp_path: Path) -> None:
    """Where it is missing, and where it fails while it is imported."""
    for folder in ("present", "broken"):
        (tmp_path / folder).mkdir()
    (tmp_path / "broken" / f"{library}.py").write_text("raise ValueError('of its settings.')")
    missing = f"sys.modules[{library!r}] = None; code = main({[*command]}); del sys.modules[{library!r}]"
    broken = f"sys.path.insert(0, {str(tmp_path / 'broken')!r}); sys.exit(10 * code + main({[*command]}))"
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys; from weedout_core.lab.cli import main; {missing}; {broken}"],
        cwd=tmp_path / "present", env=_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 22, ran.stderr
    first, second = ran.stderr.splitlines()
    assert first.startswith(f"weedout: the command needs {library}")
    assert first.endswith(": pip install 'weedout-core[lab,jax]'.")
    assert (
        second
        == (
            f"weedout: the library {library} cannot be imported: ValueError: of its settings. Correct its settings, or "
            "install it anew."
        )
        or library == "sklearn"
    ), "of which a file is read, and nothing is imported"
    assert list((tmp_path / "present").iterdir()) == []


@pytest.mark.parametrize(
    "command", [[one] for one in ("paper", "judge", "sweep", "report", "compare", "plan", "doctor")]
)
def test_a_present_folder_that_is_gone_is_one_sentence(
    command: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert cli.main(command) == 2
    said = "weedout: the present folder must exist; it was deleted or moved. Change to another.\n"
    assert capfd.readouterr().err == said


def test_no_file_takes_the_place_of_a_standard_stream_that_is_closed(tmp_path: Path) -> None:
    """A library that writes its messages there would damage it."""
    seen = "[os.path.samestat(os.fstat(number), os.stat(os.devnull)) for number in range(3)]"
    code = (
        "import os; [os.close(number) for number in range(3)]; from weedout_core import __main__ as command; "
        f"from weedout_core.lab import cli; cli.main = lambda: open('seen', 'w').write(str({seen})) and 0; "
        "command.command()"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=_environment(), check=False)
    assert ran.returncode == 0
    assert (tmp_path / "seen").read_text() == "[True, True, True]"


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def test_help_names_every_option_and_explains_it(weedout: Weedout, capfd: pytest.CaptureFixture[str]) -> None:
    assert weedout("paper", "--help") == 0
    text = capfd.readouterr().out
    wanted = [
        *("sparsity", "population", "generations", "repeats", "epochs", "seed", "dataset", "data-dir", "backend"),
        *("reading", "out", "hidden", "learning-rate", "allow-other-versions", "patience", "budget", "batch-size"),
        *("search-precision", "train-precision", "control", "interval", "rescale", "weights", "fan", "strategy"),
        "together",
    ]
    for name in wanted:
        assert f"--{name} " in text or f"--{name}," in text, name
    for config in (ExperimentConfig, wc.SearchConfig, wc.TrainConfig, options.RunOptions, JudgeConfig):
        explained = fields._texts(config)
        for item in fields._chosen(config):
            assert explained.get(item.name), f"{config.__name__}.{item.name} has no text"


CONFIGS = {"experiment": ExperimentConfig, "search": wc.SearchConfig, "train": wc.TrainConfig}


def refused(part: str, option: str, value: object) -> str | None:
    """What is said of an option with this value, where all others are left out; None if it is taken."""
    kinds = {name: fields.options_of(config) for name, config in CONFIGS.items()}
    given = {"experiment": {"backend": "numpy"}, "search": {}, "train": {}}
    given[part] |= {option: value}
    try:
        parsing._experiment(SimpleNamespace(**{name: kind(**given[name]) for name, kind in kinds.items()}))
    except wc.errors.ConfigError as error:
        return str(error)
    return None


@pytest.mark.usefixtures("unchecked")
@pytest.mark.slow
def test_whatever_field_is_refused_is_named_as_the_option_that_it_is() -> None:
    """Every option with values of each kind: out of range, of no use beside the defaults and numpy, unknown."""
    names = {
        (part, item.name): fields._option_name(config, item.name)
        for part, config in CONFIGS.items()
        for item in fields._chosen(config)
        if item.name not in ("dataset", "network", "backend", "device")  # texts, of which each has errors of its own
    }
    said = {
        (option, value): sentence
        for (part, field), option in names.items()
        for value in (*named_options(CONFIGS[part]).get(field, (-7, 0, 3, 1.5, True, (2, 2))), "nonsense")
        if (sentence := refused(part, option, value)) is not None
    }
    for (option, value), sentence in said.items():
        assert not re.search(r"\b(search|train)\.", sentence), sentence
        first = re.match(r"\w+(?==| must|\[)", sentence)
        left_out = re.search(r"Leave (\w+) out", sentence)
        for named in filter(None, (first and first[0], left_out and left_out[1])):
            assert named in names.values(), f"{option} {value}: {sentence}"
    assert {option for option, _ in said} == set(names.values()), "each of them can be refused"
    assert said["search_precision", "default"].startswith("search_precision='default' has no effect without")
    assert said["search_precision", "default"].endswith("Leave search_precision out.")
    assert said["train_precision", "highest"].endswith("Leave train_precision out.")


def test_help_lists_the_commands(weedout: Weedout, capfd: pytest.CaptureFixture[str]) -> None:
    assert weedout("--help") == 0
    text = capfd.readouterr().out
    for command in ("paper", "judge", "sweep", "plan", "doctor", "conform"):
        assert command in text


def test_options_default_to_the_configurations_own() -> None:
    parsed = parsing.parse(["paper"])
    assert isinstance(parsed, options.PaperOptions)
    assert parsed.config == ExperimentConfig()
    assert parsed.run == options.RunOptions()


def test_options_reach_the_configurations() -> None:
    parsed = parsing.parse(
        shlex.split(
            "paper --reading section3 --weights shared --generations None --budget 300 --search-precision default "
            "--train-precision highest --no-nesterov --schedule step --step-epochs 3 5"
        )
    )
    assert isinstance(parsed, options.PaperOptions)
    search, train = parsed.config.search, parsed.config.train
    assert (search.fitness, search.winner, search.weights) == ("accuracy", "best_overall", "shared")
    assert AS_READ not in (search.fitness, search.winner, search.weights)
    assert (search.generations, search.budget) == (None, 300)
    assert (search.precision, train.precision) == ("default", "highest")
    assert (train.nesterov, train.step_epochs) == (False, (3, 5))


def test_several_numbers_are_shown_as_several_numbers(weedout: Weedout, capfd: pytest.CaptureFixture[str]) -> None:
    assert weedout("paper", "--help") == 0
    text = capfd.readouterr().out
    for shown in ("--hidden INT INT ...", "--sparsity FLOAT FLOAT ...", "--step-epochs INT INT ...", "--epochs INT "):
        assert shown in text, shown


@pytest.mark.parametrize(("given", "hidden"), [("", None), ("--hidden 8", (8,)), ("--hidden 8 6", (8, 6))])
def test_hidden_layers_are_given_as_numbers(given: str, hidden: tuple[int, ...] | None) -> None:
    parsed = parsing.parse(shlex.split(f"paper {given}"))
    assert isinstance(parsed, options.PaperOptions)
    assert parsed.config.hidden == hidden


def test_an_interrupt_before_any_work(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupt)
    assert cli.main(["paper"]) == 130
    assert "interrupted" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (MemoryError(), "memory ran out. Lower the sizes of what is asked for."),
        (
            MemoryError("Unable to allocate 9 TiB"),
            r"memory ran out \(Unable to allocate 9 TiB\). Lower the sizes of ",
        ),
        (
            ZeroDivisionError("a\nb\x1b"),
            r"unexpected ZeroDivisionError in test_cli.py:\d+: a b\\x1b. This is a fault of ",
        ),
        (
            ModuleNotFoundError("no weedout_x", name="weedout_x"),
            r"unexpected ModuleNotFoundError in test_cli.py:\d+: no",
        ),
    ],
)
def test_what_nobody_foresaw_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], raised: Exception, said: str
) -> None:
    def fail(*_: object) -> int:
        raise raised

    monkeypatch.setattr(cli, "_run", fail)
    assert cli.main(["paper"]) == 1
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert re.match(f"weedout: {said}", err), err


def test_a_path_that_the_system_refuses_is_named(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for words in (["report", "n" * 300], ["report", "file/run"], [*_PAPER, "--out", "n" * 300]):
        assert weedout(*words) == 2
        said = capfd.readouterr().err
        assert said.startswith("weedout: ")
        assert words[-1] in said
        assert said.count("\n") == 1


@pytest.mark.slow
def test_a_folder_whose_name_is_no_utf_8_is_a_folder(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    once = [
        *_PAPER,
        *[
            "--hidden",
            "2",
            "--sparsity",
            "0.5",
            "--population",
            "2",
            "--generations",
            "1",
            "--repeats",
            "1",
            "--epochs",
            "1",
        ],
    ]
    assert weedout(*once, "--out", "\udcff") == 0
    assert weedout("report", "\udcff") == 0
    assert rb"\udcff" in (tmp_path / "\udcff" / "report.html").read_bytes()
    assert weedout(*once, "--seed", "1", "--out", "\udcfe") == 0
    assert weedout("compare", "\udcff", "\udcfe", "--out", "\udcfd") == 0
    assert "Traceback" not in capfd.readouterr().err


def test_a_developer_sees_where_it_was_raised() -> None:
    code = "from weedout_core.lab import cli; cli._run = lambda *_: 1 / 0; cli.main(['paper'])"
    for flags, shown in (((), False), (("-X", "dev", "-W", "ignore"), True)):
        ran = subprocess.run([sys.executable, *flags, "-c", code], env=_environment(), capture_output=True, check=False)
        assert (b"Traceback" in ran.stderr) == shown


def test_links_in_a_circle_are_refused(weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "other").mkdir()
    for words in (
        ["report", "circle"],
        ["compare", "circle", "other"],
        ["paper", "--backend", "numpy", "--out", "circle"],
    ):
        assert weedout(*words) == 2
        assert re.fullmatch("weedout: .*circle.*\n", capfd.readouterr().err)


def test_the_module_is_the_command(start: Callable[..., subprocess.Popen[str]]) -> None:
    process = start("paper", "--population", "1")
    _, err = process.communicate(timeout=600)
    assert process.returncode == 2
    assert err.startswith("weedout: --population must be an integer of at least 2")


def test_importing_the_core_imports_none_of_the_labs_libraries() -> None:
    code = (
        "import sys; from weedout_core import *; "
        "print(sorted({'rich', 'tyro', 'matplotlib', 'sklearn', 'jax', 'filelock', 'safetensors'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], env=_environment(), capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@pytest.mark.slow
@pytest.mark.parametrize("columns", ["-1", "0", "1", "99999999", "many"])
def test_whatever_the_width_is_said_to_be_texts_are_shown(
    weedout: Weedout, columns: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    start = time.process_time()
    assert weedout("plan", "--backend", "numpy", "--epochs", "0", "--hidden", "4", "--sparsity", "0.5") == 0
    assert "sparsity" in capfd.readouterr().out
    assert weedout("report", "--help") == 0
    assert "--out" in capfd.readouterr().out
    assert time.process_time() - start < 20
    assert os.environ["COLUMNS"] == columns, "it is the caller's again"


@pytest.mark.slow
@pytest.mark.filterwarnings("always::weedout_core.errors.WeedoutWarning")
def test_a_warning_of_a_plan_is_one_line_said_once(weedout: Weedout, capfd: pytest.CaptureFixture[str]) -> None:
    assert weedout("plan", "--backend", "numpy", "--hidden", "1", "--sparsity", "0.2", "--epochs", "0") == 0
    warned = [line for line in capfd.readouterr().err.splitlines() if "removes none of the 1 nodes" in line]
    assert len(warned) == 1
    assert warned[0].startswith("weedout: warning: sparsity 0.2 ")
