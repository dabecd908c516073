"""What a sweep varies: the points of a command line, and what of it is refused."""

import shlex

import pytest

from weedout_core.errors import ConfigError
from weedout_core.lab.commands.options import JudgeOptions, SweepOptions
from weedout_core.lab.commands.parsing import parse
from weedout_core.lab.commands.sweep_points import MOST
from weedout_core.lab.report.swept_figures import positions

pytestmark = pytest.mark.usefixtures("unchecked")


def swept(line: str) -> SweepOptions:
    found = parse(["sweep", *shlex.split(line)])
    assert isinstance(found, SweepOptions)
    return found


def test_every_combination_is_a_point_which_is_a_judgement() -> None:
    found = swept("--vary hidden 8 '16 8' --epochs 3 --vary population 4 6 --out here --sparsity 0.5 0.8 --repeats 2")
    assert [str(point.cell) for point in found.points] == [
        "hidden 8, population 4", "hidden 8, population 6", "hidden 16 8, population 4", "hidden 16 8, population 6",
    ]  # fmt: skip
    for point in found.points:
        alone = parse(list(point.arguments))
        assert isinstance(alone, JudgeOptions)
        assert point.options == alone._replace(run=point.options.run), "its command line is that judgement"
        assert "here" not in point.arguments, "each has a folder of its own"
    last = found.points[-1].options
    assert (last.config.hidden, last.config.search.population, last.config.train.epochs) == ((16, 8), 6, 3)
    assert (last.methods, last.judging.baseline) == (("weedout",), "random"), "the paper's pair"
    assert last.judging.family == 4 * 2, "each point at two sparsities"
    assert str(found.out) == "here"
    assert [point.cell.folder(1) for point in found.points][3:] == ["01-hidden-16-8-population-6"]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("snip magnitude --vary allocation uniform mine:counts", (("snip", "magnitude"), "weedout", 2 * 2 * 4)),
        ("snip --baseline random --vary sparsity 0.5 0.8", (("snip",), "random", 2)),
        ("--family 9 --vary strategy genetic random_search --sparsity 0.5", (("weedout",), "random", 9)),
        ("snip --vary=network mlp wrn-10-1 --sparsity 0.5", (("snip",), "weedout", 2)),
    ],
)
def test_methods_are_judged_in_the_family_of_all_points(line: str, what: tuple[tuple[str, ...], str, int]) -> None:
    for point in swept(line).points:
        judging = point.options.judging
        assert (point.options.methods, judging.baseline, judging.family) == what


def test_any_kind_of_option_is_varied() -> None:
    flags = [point.options.config.rescale for point in swept("--vary rescale no yes").points]
    assert flags == [False, True]
    patience = [point.options.config.search.patience for point in swept("--vary patience None 2").points]
    assert patience == [None, 2]
    networks = [point.options.config for point in swept("--vary model mlp wrn-10-1").points]
    assert [one.network for one in networks] == ["mlp", "wrn-10-1"]
    assert networks[0].train != networks[1].train, "each network brings its own recipe"
    assert str(swept("--vary allocation uniform a:b").points[1].cell.folder(12)) == "12-allocation-a-b"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "weedout sweep needs --vary, an option and its values"),
        ("--vary", "--vary takes an option that decides what is searched or trained; got ''"),
        ("--vary hiden 8 16", "got 'hiden'. Did you mean hidden?"),
        ("--vary out a b", "got 'out'"),
        ("--vary backend jax torch", "got 'backend'"),
        ("--vary repeats 5 10", "got 'repeats'"),
        ("--vary workers 1 2", "got 'workers'"),
        ("--vary margin 0.01 0.02", "got 'margin'"),
        ("--vary hidden=8 16", "got 'hidden=8'. Did you mean hidden? Write --vary OPTION VALUE VALUE"),
        ("--vary hidden", "--vary hidden needs two values or more, separated by spaces; got none"),
        ("--vary hidden 8,16", "--vary hidden needs two values or more, separated by spaces; got '8,16'"),
        ("--vary hidden 8 8", "--vary hidden must have each value once; got '8' twice"),
        ("--vary hidden 8 16 --hidden 4", "--hidden must not be given beside --vary hidden"),
        ("--vary network mlp vgg-8 --model mlp", "--network must not be given beside --vary network"),
        ("--vary rescale yes no --no-rescale", "--rescale must not be given beside --vary rescale"),
        ("--vary population 4 6 --vary population 8 9", "--vary population must be given once; got it twice"),
        ("--vary rescale 0 1", "--vary rescale must have the values yes and no; got '0 1'"),
        ("--vary population 4 '6 --epochs 3'", "--vary population must have values alone; got '6 --epochs 3'"),
        ("--vary sparsity 0.5 0.50", "points of a sweep must differ; sparsity 0.5 and sparsity 0.50 are the same"),
        ("--vary population 1 4", "--population must be an integer of at least 2"),
        ("--vary granularity node channel", "granularity='channel' has no effect without convolutions"),
        ("--vary hidden 8 snip", "--hidden takes numbers; got 'snip'. Methods stand before options of several values"),
        ("--vary hidden 8 16 --family 7", "--family must be at least 8, the number of comparisons"),
        ("--vary hidden 8 16 --out", "--out needs a value. See weedout sweep --help"),
        ("--vary hidden 8 16 --verbose", "weedout sweep does not take --verbose"),
        ("--vary hidden 8 16 --coordinator auto", "--coordinator is for one run, and a sweep has several"),
        ("--vary epochs 1 2 3 4 5 6 7 --vary population 2 3 4 5 6 7", f"at most {MOST} points; got 7 × 6 = 42"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_option(line: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        swept(line)
    assert said in str(error.value)


def test_numbers_stand_by_their_size_and_wide_ones_by_its_logarithm() -> None:
    assert positions(["2", "3", "7"]) == [2, 3, 7]
    assert positions(["10", "100", "1000"]) == pytest.approx([1, 2, 3])
    assert positions(["0", "0.5", "9"]) == [0, 0.5, 9]
    assert positions(["None", "2"]) == positions(["64", "64 32"]) == [0, 1]
    assert positions(["8", "nan"]) == [0, 1]
