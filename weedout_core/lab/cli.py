"""The command ``weedout``: it reports an error in one sentence, and ends with an exit code that scripts can use."""

import sys
from collections.abc import Sequence
from contextlib import suppress

from weedout_core.errors import WeedoutError
from weedout_core.lab.streams import StreamError, standard_streams

_UNWRITTEN, _WRONG, _INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments after the command's name; None takes those of the process.
    Returns:
        the exit code: 0 for success; 1 if no backend works (doctor), a check failed (conform), or standard output
        cannot be written; 2 if the options, the data or the run folder are refused; 130 if the user interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    with standard_streams():
        try:
            code = _exit_code(arguments)
            sys.stdout.flush()  # a failure to write must show before the process ends
        except StreamError as error:
            with suppress(StreamError):
                _say(str(error), _UNWRITTEN)
            code = _UNWRITTEN
    return code


def _exit_code(arguments: list[str]) -> int:
    try:
        return _run(arguments)
    except WeedoutError as error:
        return _say(str(error), _WRONG)
    except ModuleNotFoundError as error:
        # One of the lab's libraries is missing: without the core's own, this module could not have been imported.
        if error.name is None or error.name.startswith("weedout"):
            raise
        return _say(f"the command needs {error.name}: pip install 'weedout-core[lab,jax]'.", _WRONG)
    except KeyboardInterrupt:
        return _say("interrupted before any result was saved; the same command begins anew.", _INTERRUPTED)
    except SystemExit as exit:
        # From the parser, which has written its message or its help.
        return exit.code if isinstance(exit.code, int) else _WRONG


def _run(arguments: list[str]) -> int:
    from rich.console import Console  # imported here and below: these modules need the extra, and seconds to import

    from weedout_core.lab.commands.options import (
        CompareOptions,
        ConformOptions,
        JudgeOptions,
        PlanOptions,
        ReportOptions,
        parse,
    )
    from weedout_core.lab.commands.progress import warnings_said

    with warnings_said(Console(stderr=True)):
        options = parse(arguments)
    if options is None:
        from weedout_core.lab.commands.doctor import run_doctor

        return run_doctor(Console())
    if isinstance(options, ConformOptions):
        from weedout_core.lab.commands.conform import run_conform

        return run_conform(options, Console())
    if isinstance(options, ReportOptions):
        from weedout_core.lab.commands.report import run_report

        return run_report(options, Console())
    if isinstance(options, CompareOptions):
        from weedout_core.lab.commands.compare import run_compare

        return run_compare(options, Console())
    if isinstance(options, PlanOptions):
        from weedout_core.lab.commands.plan import run_plan

        return run_plan(options, Console(), Console(stderr=True))
    if isinstance(options, JudgeOptions):
        from weedout_core.lab.commands.judge import run_judge

        return run_judge(options, arguments, Console(), Console(stderr=True))
    from weedout_core.lab.commands.paper import run_paper

    return run_paper(options, arguments, Console(), Console(stderr=True))


def _say(sentence: str, code: int) -> int:
    sys.stderr.write(f"weedout: {' '.join(sentence.split())}\n")
    return code
