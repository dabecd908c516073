"""The command ``weedout``: it reports an error in one sentence, and ends with an exit code that scripts can use."""

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import weedout_core
from weedout_core.errors import RunError, WeedoutError, WorkerError
from weedout_core.lab import signals
from weedout_core.lab.streams import Stream, StreamError, printable, readable_width, standard_streams

_FAILED, _WRONG, _INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None, member: bool = False) -> int:
    """Run the command line.

    Args:
        argv: the arguments after the command's name; None takes those of the process.
        member: whether this process is the one that computes with those of other hosts, which another process owns.
    Returns:
        the exit code: 0 for success; 1 if no backend works (doctor), a check failed (conform), standard output cannot
        be written, memory ran out, workers failed, or there is a fault in this library; 2 if the options, the data or
        the run folder are refused; 128 + the number of the signal that asked to end, which is 130 if the user
        interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    with readable_width(), standard_streams() as (out, err):
        try:
            code = _exit_code(arguments, out, err, member)
            out.flush()  # a failure to write must show before the process ends
        except StreamError as error:
            code = signals.requested() or _FAILED  # a terminal that closes sends a signal too
            for stream in (err, out):
                with suppress(StreamError):
                    _say(str(error), stream)
                    break
    return code


def _exit_code(arguments: list[str], out: Stream, err: Stream, member: bool) -> int:
    try:
        return _run(arguments, out, err, member)
    except WeedoutError as error:
        sentence, code = str(error), _FAILED if isinstance(error, WorkerError) else _WRONG
    except ModuleNotFoundError as error:
        # One of the lab's libraries is missing: without the core's own, this module could not have been imported.
        remedy = f"the command needs {error.name}: pip install 'weedout-core[lab,jax]'."
        ours = error.name is None or error.name.startswith("weedout")
        sentence, code = (_unexpected(error), _FAILED) if ours else (remedy, _WRONG)
    except KeyboardInterrupt as error:
        signals.end_begins()
        sentence = f"{signals.how_it_ended()}; {str(error) or signals.KEPT}"
        code = signals.requested() or _INTERRUPTED
    except MemoryError as error:
        sentence = f"memory ran out{f' ({error})' if str(error) else ''}. Lower the sizes of what is asked for."
        code = _FAILED
    except StreamError:
        raise
    except OSError as error:
        # Of a path that was named: it is too long, leads nowhere, or is not for this user.
        path = "a file" if error.filename is None else os.fspath(error.filename)
        sentence, code = f"{os.fsdecode(path)} cannot be used: {error.strerror or error}.", _WRONG
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        sentence, code = _unexpected(error), _FAILED
        if (library := _failed_library(error)) is not None:
            said = f"{type(error).__name__}: {error}".removesuffix(".")
            remedy = "Correct its settings, or install it anew."
            sentence, code = f"the library {library} cannot be imported: {said}. {remedy}", _WRONG
    except SystemExit:  # from the parser, which has written its help, or process 0 goes on from here
        return 0
    _say(sentence, err)
    return code


def _run(arguments: list[str], out: Stream, err: Stream, member: bool) -> int:
    if arguments[:1] == ["--version"]:  # before the imports, which may be what is amiss
        out.write(f"weedout-core {weedout_core.__version__}\n")
        return 0
    _check_present_folder()
    from rich.console import Console  # imported here and below: these modules need the extra, and seconds to import

    from weedout_core.lab.commands.options import (
        CompareOptions,
        ConformOptions,
        JudgeOptions,
        PlanOptions,
        ReportOptions,
        SweepOptions,
    )
    from weedout_core.lab.commands.parsing import parse
    from weedout_core.lab.commands.progress import warnings_said

    shown, progress = (Console(file=cast(Any, stream)) for stream in (out, err))
    with warnings_said(progress):
        options = parse(arguments)
        if options is None:
            from weedout_core.lab.commands.doctor import run_doctor

            return run_doctor(shown)
        if isinstance(options, ConformOptions):
            from weedout_core.lab.commands.conform import run_conform

            return run_conform(options, shown)
        if isinstance(options, ReportOptions):
            from weedout_core.lab.commands.report import run_report

            return run_report(options, shown)
        if isinstance(options, CompareOptions):
            from weedout_core.lab.commands.compare import run_compare

            return run_compare(options, shown)
        if isinstance(options, PlanOptions):
            from weedout_core.lab.commands.plan import run_plan

            return run_plan(options, shown, progress)
        if isinstance(options, SweepOptions):
            from weedout_core.lab.commands.sweep import run_sweep

            return run_sweep(options, arguments, shown, progress)
        if options.run.coordinator is not None and not member:
            from weedout_core.lab.engines.owner import own

            return own(arguments)
        if isinstance(options, JudgeOptions):
            from weedout_core.lab.commands.judge import run_judge

            return run_judge(options, arguments, shown, progress)
        from weedout_core.lab.commands.paper import run_paper

        return run_paper(options, arguments, shown, progress)


def _check_present_folder() -> None:
    try:
        os.getcwd()
    except OSError as error:
        raise RunError("the present folder must exist; it was deleted or moved. Change to another.") from error


def _failed_library(error: Exception) -> str | None:
    """The library that this one was importing when an error was raised; None if it was doing something else."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    names = [str(frame.f_globals.get("__name__")).partition(".")[0] for frame in frames]
    called = 1 + max((place for place, name in enumerate(names) if name.startswith("weedout")), default=len(names))
    importing = called < len(names) and frames[called].f_code.co_name == "<module>"  # Python leaves out its own frames
    return names[called] if importing else None


def _unexpected(error: Exception) -> str:
    """What is said of an error that this library does not raise on purpose."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"unexpected {type(error).__name__} in {Path(place.filename).name}:{place.lineno}: {error}. This is a fault of "
        "weedout; please report it, with what python -X dev -m weedout_core shows of it."
    )


def _say(sentence: str, stream: Stream) -> None:
    stream.write(f"weedout: {printable(' '.join(sentence.split()))}\n")
    stream.flush()
