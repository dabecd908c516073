"""The options of how a run is computed and stored, and of what a plan of one measures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from weedout_core._configs.checks import check_effects, check_options
from weedout_core._guard.guarded import convert_fields
from weedout_core._guard.kinds import AtLeastZero, Name, Positive, integer


@dataclass(frozen=True)
class RunOptions:
    """Where the run is stored, and what is stored.

    Attributes:
        out: the run's folder; None means runs/<dataset>-<digest of the configuration>.
        data_dir: the folder of the dataset's files; None downloads them once (the bundled digits need none).
        allow_other_versions: continue a run under other library versions than those it began with.
        checkpoint_minutes: write a checkpoint whenever this many minutes have passed since the last one, ≥ 0.
        checkpoint_epochs: also write a checkpoint after every this many epochs, ≥ 1; None goes by the minutes alone.
        save_parameters: keep the trained weights of every network, in groups/*/parameters.safetensors.
        cache: a folder that keeps compiled programs, so that a later run need not compile them; only for the backend
            jax. None leaves JAX's own setting.
        workers: the number of processes that compute, ≥ 1; None computes in the process of the command.
        engine: what workers are: "processes" of this machine, or tasks of "ray".
        address: of the cluster of Ray; None begins a Ray of this machine, unless the environment names a cluster.
        cpus_per_unit: the CPUs that Ray gives to a group, ≥ 0; None gives as many as it has threads.
        gpus_per_unit: the GPUs that Ray gives to a group, ≥ 0; a fraction shares one.
        coordinator: of several hosts whose devices compute together, each of which runs this command: where process 0
            is reached, as host:port, or "auto", which takes what the platform knows; only for the backend jax.
        processes: the number of these processes, one for each host, ≥ 1; not with "auto".
        process: the number of this one, from 0; process 0 alone has the run's folder, and prints.
    Raises:
        ConfigError: a field is out of its range, or has no effect beside the others.
    """

    out: Path | None = None
    data_dir: Path | None = None
    allow_other_versions: bool = False
    checkpoint_minutes: AtLeastZero = 5.0
    checkpoint_epochs: Positive | None = None
    save_parameters: bool = False
    cache: Path | None = None
    workers: Positive | None = None
    engine: Literal["processes", "ray"] = "processes"
    address: Name | None = None
    cpus_per_unit: AtLeastZero | None = None
    gpus_per_unit: AtLeastZero | None = None
    coordinator: Name | None = None
    processes: Positive | None = None
    process: Annotated[int, integer(0, 2**31)] | None = None

    def __post_init__(self) -> None:
        convert_fields(self)
        check_options(self)
        on_ray = (self.engine == "ray", 'the engine "ray"')
        ways = {"address": on_ray, "cpus_per_unit": on_ray, "gpus_per_unit": on_ray}
        check_effects(self, {**ways, "workers": (self.engine == "processes", 'the engine "processes"')})
        by_workers = self.engine == "ray" or self.workers is not None
        alone = (not by_workers, "the command itself computing, in place of workers")
        given = (self.coordinator not in (None, "auto"), "a coordinator HOST:PORT")
        check_effects(self, {"coordinator": alone, "processes": given, "process": given})


@dataclass(frozen=True)
class ProbeOptions:
    """Which data a plan reads, and which devices it computes the memory for.

    Attributes:
        data_dir: the folder of the dataset's files; None downloads them once (the bundled digits need none).
        topology: a slice of TPUs, such as "v5e:2x4": the programs are compiled for it, and the plan shows the memory
            that they need on each of its devices. None shows the memory on this machine's device.
        workers: say too how long this many workers take, ≥ 1, each as fast as this machine.
        price: of an hour of a worker, ≥ 0, in any currency; None says no cost.
    """

    data_dir: Path | None = None
    topology: Name | None = None
    workers: Positive | None = None
    price: AtLeastZero | None = None

    def __post_init__(self) -> None:
        convert_fields(self)
        check_effects(self, {"price": (self.workers is not None, "workers")})
