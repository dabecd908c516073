"""Computing what is missing of a run: here or by workers, and committing each group when it is done."""

import pickle
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from functools import partial
from glob import glob
from os import environ
from pathlib import Path
from typing import NamedTuple

from weedout_core.errors import ConfigError, RunError, WeedoutWarning, WorkerError
from weedout_core.lab import signals
from weedout_core.lab.commands.progress import progress, warn, write_line
from weedout_core.lab.commands.running import Running, kept_groups
from weedout_core.lab.engines.driver import Submit, drive
from weedout_core.lab.engines.here import Here
from weedout_core.lab.engines.job import Done, Failed, Job, compute, mark
from weedout_core.lab.engines.on_ray import OnRay
from weedout_core.lab.engines.processes import Processes
from weedout_core.lab.engines.telling import Told
from weedout_core.lab.engines.unit import UnfinishedError, compute_group
from weedout_core.lab.experiment.events import GroupFinished
from weedout_core.lab.experiment.group import OnEvent
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.run.checkpoints import Checkpoints, Pace
from weedout_core.lab.run.record import with_environment

_MANY = 1000  # groups that an executor holds at once: enough for any number of workers


class _Engine(NamedTuple):
    """An executor, how a group is submitted to it, how many at once, and what is told of them meanwhile."""

    executor: Executor
    submit: Submit
    most: int
    told: Told


def run_missing(running: Running, wanted: Sequence[Group]) -> None:
    """Compute and commit those of the wanted groups that are not done.

    Raises:
        RunError: an arm failed in this process, a checkpoint is another training's, or a file cannot be written.
        WorkerError: workers could not compute some groups, and all others are committed.
    """
    done = {*running.folder.committed}
    missing = [group for group in wanted if group not in done]
    workers = running.run.workers or running.run.engine == "ray" or running.executor
    with progress(running.experiment, missing, running.err) as draw, warnings.catch_warnings():
        warnings.simplefilter("ignore", WeedoutWarning)  # already written before the first group
        (_by_workers if workers and missing else _here)(running, missing, draw)


def _here(running: Running, groups: Sequence[Group], draw: OnEvent) -> None:
    folder, run, data = running.folder, running.run, running.loaded

    def computed(group: Group) -> Done:
        kept = Checkpoints(
            folder.checkpoints(group).absolute(),  # an arm may leave the folder
            folder.record.owner(group),
            running.net,
            Pace(run.checkpoint_minutes, run.checkpoint_epochs),
            lambda sentence: warn(running.err, sentence),
            folder.check_place,
        )
        decided = folder.record.decided(group)
        try:
            with running.lead.group(group, kept) as told:
                found = compute_group(running.experiment, decided, group, data.dataset, data.backend, told, draw)
        except UnfinishedError as error:
            again = "The same command continues; with an arm that was changed it is another run."
            raise RunError(f"{str(error).removesuffix('.')}. {kept_groups(folder)}. {again}") from error
        return Done(found, folder.record.environment, ())

    def take(group: Group, one: Done | Failed) -> None:
        assert isinstance(one, Done)
        folder.commit(one.computed.result, one.computed.timings, run.save_parameters)

    drive(Here(), lambda executor, group: executor.submit(computed, group), groups, take, 1)


def _by_workers(running: Running, groups: Sequence[Group], draw: OnEvent) -> None:
    folder, failed = running.folder, dict[Group, Failed]()

    def take(group: Group, one: Done | Failed) -> None:
        if isinstance(one, Failed):
            if one not in failed.values():
                where = f" on {one.host}" if one.host else ""
                write_line(running.err, f"weedout: {group} failed{where}: {one.why}")
            failed[group] = one
            return
        for sentence in one.said:
            warn(running.err, sentence)
        folder.record = with_environment(folder.record, one.environment)
        folder.commit(one.computed.result, one.computed.timings, running.run.save_parameters)
        draw(GroupFinished(group))

    def again(group: Group, why: str) -> None:
        warn(running.err, f"{group} is computed again, because its worker was lost: {why}")

    # Workers begin with different sparsities, so that each compiles other programs.
    order = sorted(groups, key=lambda group: (group.first, group.sparsity))
    with _engine(running, len(groups)) as engine:

        def meanwhile() -> None:
            for event in engine.told.events():
                draw(event)

        drive(engine.executor, engine.submit, order, take, engine.most, again, meanwhile)
    if failed:
        folder.assemble()
        raise WorkerError(
            f"{len(failed)} of {len(groups)} groups could not be computed, for the reasons above. "
            f"{kept_groups(folder)}, and the same command computes what is missing."
        )


@contextmanager
def _engine(running: Running, groups: int) -> Iterator[_Engine]:
    """The executor that a run asks for, for some groups. What it began ends with this context, however that ends."""
    with ExitStack() as stack:
        job = _job(running, stack)
        told = Told(job.told)

        def submit(executor: Executor, group: Group):
            return executor.submit(compute, job, None, group)

        if running.executor is not None:
            yield _Engine(running.executor, submit, _MANY, told)
            return
        if running.run.engine == "ray":
            tasks, submit_task = _on_ray(running, job)
            stack.enter_context(_ending(tasks))
            yield _Engine(tasks, submit_task, _MANY, told)
            return
        workers = min(running.run.workers or 1, groups)
        _check_sendable(job)
        pool = Processes(workers, partial(variables, job.record.threads, running.loaded.backend.threads is None))
        stack.enter_context(_ending(pool))
        yield _Engine(pool, submit, workers, told)


def _on_ray(running: Running, job: Job) -> tuple[OnRay, Submit]:
    """Ray's tasks, to which the run and its data are sent once."""
    run, threads = running.run, job.record.threads or 1
    cpus = threads if run.cpus_per_unit is None else run.cpus_per_unit
    pool = OnRay(run.address, cpus, run.gpus_per_unit or 0)
    shared = pool.share(job), pool.share(running.loaded.dataset)
    return pool, lambda executor, group: executor.submit(compute, *shared, group)


@contextmanager
def _ending(pool: Processes | OnRay) -> Iterator[None]:
    """A context at whose end no worker is left; where it is left by an error they are asked to end first."""
    try:
        yield
    except BaseException:
        signals.end_begins()
        pool.stop()
        raise
    finally:
        pool.shutdown()


def _job(running: Running, stack: ExitStack) -> Job:
    run, folder, model = running.run, running.folder, running.experiment.model
    cache = run.cache
    if cache is None and running.experiment.config.backend == "jax":  # each worker would compile the same programs
        cache = _temporary(stack)
    return Job(
        running.experiment._replace(model=None),
        None if model is None else model.make,
        running.loaded.own,
        folder.record,
        folder.path.absolute(),
        mark(folder.path),
        folder.checkpoints(Group(0.0, 0, 0)).parent.absolute(),
        Pace(run.checkpoint_minutes, run.checkpoint_epochs),
        _temporary(stack),
        None if run.data_dir is None else run.data_dir.absolute(),
        None if cache is None else cache.absolute(),
        run.save_parameters,
        run.allow_other_versions,
    )


def _temporary(stack: ExitStack) -> Path:
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weedout-", ignore_cleanup_errors=True)))


def _check_sendable(job: Job) -> None:
    try:
        pickle.dumps(job)
    except Exception as error:  # of whatever a user's object does when it is pickled
        raise ConfigError(
            "functions of your own must be at the top of a module to be sent to workers; got one "
            f"that is not: {error}. Move it there, or leave out the workers."
        ) from error


def variables(threads: int | None, accelerated: bool, number: int) -> Mapping[str, str]:
    """The environment variables of a worker: its threads, and where there are accelerators of NVIDIA its own.

    Args:
        threads: of the run.
        accelerated: whether it computes on an accelerator.
        number: of the worker, from 0.
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    found: dict[str, str] = {} if threads is None else {name: str(threads) for name in names}
    seen = environ.get("CUDA_VISIBLE_DEVICES", ",".join(str(n) for n in range(len(glob("/dev/nvidia[0-9]*")))))
    if accelerated and (each := [one for one in seen.split(",") if one]):
        found["CUDA_VISIBLE_DEVICES"] = each[number % len(each)]
    return found
