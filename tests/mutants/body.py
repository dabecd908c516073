"""A mutant is a backend that is wrong in one small way. The body is all of them, grouped by why a kit misses them.

The conformance kit is measured by how many it catches, as tests are by the lines that they cover. Each mutant is either
a copy of a backend's package in which a line is edited, or a wrapper around the functions of a backend.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from inspect import signature
from types import ModuleType
from typing import Any

from tests.conformance.wrappers import Wrong
from tests.mutants.copies import Edit, copy_of, edited_files
from weedout_core._contract.checked_call import CALLS
from weedout_core.backend import Backend

#: What shows that a mutant is wrong: a backend's answers, arrays in any nesting, to calls that the contract allows.
Witness = Callable[[Backend], Any]


@dataclass(frozen=True)
class Mutant:
    """A wrong backend.

    Attributes:
        name: unique, says what it does.
        group: why a kit may miss it.
        function: the function of the contract that is wrong, or the first of several.
        reason: how it is wrong, in a sentence.
        make: connects to it.
        right: connects to the backend that it is made of.
        witness: where the two give different answers.
        backend: the name of the backend that it is made of.
        devices: how many devices it has.
        edits: what is edited in the package of the backend; () for a wrapper.
    """

    name: str
    group: str
    function: str
    reason: str
    make: Callable[[], Backend]
    right: Callable[[], Backend]
    witness: Witness
    backend: str
    devices: int
    edits: tuple[Edit, ...] = ()

    def check_edits(self) -> None:
        """Raise ValueError where the text of the backend is no longer the one that is edited."""
        edited_files(f"weedout_{self.backend}", self.edits)


@dataclass(frozen=True)
class Group:
    """Mutants that a kit may miss for one cause.

    Attributes:
        name: the cause.
        backend, devices: what its mutants are made of. NumPy only says that it has several devices.
        mutants: those that were added.
    """

    name: str
    backend: str = "numpy"
    devices: int = 1
    mutants: list[Mutant] = field(default_factory=list)

    def edits(self, function: str, file: str) -> Callable[..., None]:
        """What adds a copy of the backend's package with edits: (name, reason, witness, (old, new), …).

        An edit of another file than ``file`` names it first: (file, old, new).
        """

        def add(name: str, reason: str, witness: Witness, *edits: tuple[str, ...]) -> None:
            made = tuple(Edit(*((file, *edit)[-3:])) for edit in edits)
            self._add(name, function, reason, lambda: self._connect(copy_of(self._package, made)), witness, made)

        return add

    def wrapper(self, function: str, witness: Witness) -> Callable[[Wrong], None]:
        """Add a wrapper around the backend. Its name is that of the mutant, and its docstring the reason."""
        return lambda wrong: self.wrapped(
            wrong.__name__, function, " ".join((wrong.__doc__ or "").split()), witness, wrong
        )

    def wrapped(self, name: str, function: str, reason: str, witness: Witness, wrong: Wrong) -> None:
        """Add a wrapper around the backend, ``wrong(backend)``."""
        self._add(name, function, reason, lambda: _signed(wrong, self.right()), witness, ())

    def right(self) -> Backend:
        """The backend that its mutants are made of."""
        return self._connect(import_module(self._package))

    @property
    def _package(self) -> str:
        return f"weedout_{self.backend}"

    def _connect(self, package: ModuleType) -> Backend:
        if self.backend == "numpy":
            return replace(package.connect(), devices=self.devices)
        return package.connect(devices=self.devices)

    def _add(self, name: str, function: str, reason: str, make: Any, witness: Witness, edits: Any) -> None:
        of = (self.right, witness, self.backend, self.devices, edits)
        self.mutants.append(Mutant(name, self.name, function, reason, make, *of))


def _signed(wrong: Wrong, right: Backend) -> Backend:
    """The wrong backend, with the signatures of the right one: they are not what is wrong."""
    made = wrong(right)
    for name in CALLS:
        function, like = getattr(made, name), getattr(right, name)
        if function is not like and function is not None and like is not None:
            function.__signature__ = signature(like)
    return made


FEW = Group("few examples")
VACUOUS = Group("vacuous")
EPOCHS = Group("epochs")
SIZES = Group("sizes")
STRUCTURE = Group("NaN, ties, zeros, structure")
PURITY = Group("purity")
WEIGHTS = Group("masked weights")
LIMITED = Group("limited training")
OPTIONS_OF_BFLOAT16 = Group("bfloat16")
BFLOAT16 = Group("bfloat16", backend="jax")
DEVICES = Group("devices", devices=8)
DEVICES_OF_JAX = Group("devices", backend="jax", devices=8)
AFTERWARDS = Group("written afterwards")
AGAIN = Group("written afterwards, again")
AGAIN_OF_JAX = Group("written afterwards, again", backend="jax")
THIRD = Group("written afterwards, a third time")
FOURTH = Group("written afterwards, a fourth time")
FIFTH = Group("written afterwards, a fifth time")

#: In the order of the classes of causes; last those that were written when the kit was done, to measure it.
GROUPS = (
    FEW, VACUOUS, EPOCHS, SIZES, STRUCTURE, WEIGHTS, LIMITED, PURITY, OPTIONS_OF_BFLOAT16, BFLOAT16, DEVICES,
    DEVICES_OF_JAX, AFTERWARDS, AGAIN, AGAIN_OF_JAX, THIRD, FOURTH, FIFTH,
)  # fmt: skip
