"""``weedout conform``: compare a registered backend, a third party's included, with the NumPy reference."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from weedout_core import load_backend
from weedout_core._guard.guarded import convert_fields
from weedout_core.backend import Backend
from weedout_core.errors import WeedoutError
from weedout_core.lab.commands.options import ConformOptions
from weedout_core.lab.commands.outcome import Check, Outcome, judge
from weedout_core.lab.commands.progress import write_line

_PROFILE = "weedout-conform"
_COLOURS = {"passed": "green", "failed": "red", "not tried": "yellow"}


def run_conform(options: ConformOptions, console: Console) -> int:
    """Run every check of the conformance kit against a backend, and print a table.

    Returns:
        0, or 1 if a check failed.
    Raises:
        ConfigError: the number of examples or of devices is out of range.
        BackendError: the backend is unknown, or cannot connect.
        WeedoutError: Hypothesis is not installed.
    """
    convert_fields(options)  # here and not in __post_init__, where the parser would put a box around the error
    backend, reference = load_backend(options.name, options.device, options.devices), load_backend("numpy")
    outcomes: list[Outcome] = []
    with fixed_examples(options.examples) as checks, _drawn(console, len(checks)) as (begin, end):
        for name, check in checks.items():
            begin(name)
            outcomes.append(judge(name, check, backend, reference))
            end(outcomes[-1])
    console.print(_table(backend, outcomes))
    for line in itertools.chain.from_iterable(map(_told, outcomes)):
        write_line(console, line)
    write_line(console, _sum(outcomes))
    return 1 if any(outcome.reason for outcome in outcomes) else 0


def _told(outcome: Outcome) -> Iterator[str]:
    """What is said of a check below the table."""
    if outcome.untried:
        yield f"{outcome.check}: nothing to try, because {outcome.untried}"
    if outcome.reason:
        yield f"{outcome.check}: {outcome.reason}"
        if more := outcome.explain():
            yield f"    {more}"


def _sum(outcomes: Sequence[Outcome]) -> str:
    verdicts = Counter(outcome.verdict for outcome in outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)
    nothing = f"; {verdicts['not tried']} had nothing to try" if verdicts["not tried"] else ""
    return f"{verdicts['passed']} of {len(outcomes)} checks passed in {seconds:.1f} s{nothing}"


@contextmanager
def fixed_examples(count: int) -> Iterator[dict[str, Check]]:
    """The checks by name. Each tries ``count`` examples (costly checks fewer), and the same examples every time."""
    try:
        from hypothesis import (
            Phase,
            Verbosity,
            settings,
        )  # imported here, because a run of the experiment does not need it
        from hypothesis.configuration import set_hypothesis_home_dir

        from weedout_core.testing import CHECKS
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise WeedoutError("conform needs hypothesis: pip install 'weedout-core[test]'.") from error
    before = settings.get_current_profile_name()
    settings.register_profile(
        _PROFILE,
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        print_blob=False,
        verbosity=Verbosity.quiet,  # the kit names the example that fails in a line of its own
        report_multiple_bugs=False,
        # Report the first example that fails: finding the smallest takes minutes if each example is compiled.
        phases=(Phase.explicit, Phase.generate),
    )
    settings.load_profile(_PROFILE)
    with TemporaryDirectory() as folder:
        set_hypothesis_home_dir(folder)  # otherwise Hypothesis makes a folder in the working directory
        try:
            yield dict(CHECKS)
        finally:
            set_hypothesis_home_dir(None)
            settings.load_profile(before)


@contextmanager
def _drawn(console: Console, total: int) -> Iterator[tuple[Callable[[str], None], Callable[[Outcome], None]]]:
    """Draw progress as a bar or as lines: gives functions to call before a check (its name) and after (its outcome)."""
    if not console.is_terminal:
        done = itertools.count(1)
        yield lambda name: None, lambda outcome: write_line(console, f"{next(done)}/{total} · {_line(outcome)}")
        return
    columns = BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)

        def begin(name: str) -> None:
            bar.update(task, description=name)

        def end(outcome: Outcome) -> None:
            bar.update(task, advance=1)
            if outcome.reason:
                write_line(console, _line(outcome))

        yield begin, end


def _line(outcome: Outcome) -> str:
    return f"{outcome.check} · {outcome.verdict} · {outcome.seconds:.1f} s"


def _table(backend: Backend, outcomes: list[Outcome]) -> Table:
    from weedout_core.testing.tolerances import in_words

    devices = f", {backend.devices} devices" if backend.devices > 1 else ""
    table = Table(title=f"{backend.name} on {backend.device}{devices}, compared with the reference")
    table.add_column("check")
    table.add_column("may differ by")
    table.add_column("result")
    table.add_column("seconds", justify="right")
    for outcome in outcomes:
        colour = _COLOURS[outcome.verdict]
        table.add_row(
            outcome.check, in_words(outcome.check), f"[{colour}]{outcome.verdict}[/]", f"{outcome.seconds:.1f}"
        )
    return table
