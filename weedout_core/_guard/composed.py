"""Kinds made of other kinds: one of several, sequences, mappings, records."""

from collections.abc import Callable, Mapping, Set, Sized
from dataclasses import replace
from typing import Any, cast

from weedout_core._guard.hosted import hosted
from weedout_core._guard.kinds import NAME, Kind, UnfitError, is_array, require
from weedout_core._guard.remedies import made_by, part_of
from weedout_core.errors import ConfigError, WeedoutError


def either(*kinds: Kind) -> Kind:
    """The first of several kinds that accepts a value."""

    def convert(name: str, value: Any) -> Any:
        for kind in kinds:
            try:
                return kind.convert(name, value)
            except WeedoutError:
                raise
            except Exception:
                continue
        raise UnfitError

    def remedy(value: Any) -> str:
        return " ".join(filter(None, dict.fromkeys(kind.advice(value) for kind in kinds)))

    return Kind(" or ".join(kind.wanted for kind in kinds), convert, kinds[0].error, remedy)


def several(kind: Kind, least: int = 0) -> Kind:
    """A tuple of values of one kind, from any sequence of them, in its order."""

    def convert(name: str, value: Any) -> tuple[Any, ...]:
        kinds = isinstance(value, Sized), isinstance(value, str | bytes | Mapping | Set)
        require(kinds == (True, False))
        items = list[Any](hosted(value) if is_array(value) and _holds_numbers(value) else value)
        require(len(items) >= least)
        try:
            return tuple(kind(f"{name}[{place}]", item) for place, item in enumerate(items))
        except WeedoutError:
            require(not kind.takes(value) and not hasattr(value, "_fields"))  # its items are not meant as a sequence
            raise

    def remedy(value: Any) -> str:
        if kind.takes(value):
            return "Put it into a list, also where it is the only one."
        return "" if isinstance(kind.remedy, str) else kind.advice(value)  # a fixed one is about an item's value

    size = f" of at least {least}" if least else ""
    return Kind(f"a sequence{size}, each item {kind.wanted}", convert, remedy=remedy)


def _holds_numbers(array: Any) -> bool:
    """False for an array of JAX's typed keys, each of which is converted by itself."""
    return not str(getattr(array, "dtype", "")).startswith("key<")


def fixed(*kinds: Kind) -> Kind:
    """A tuple with a fixed number of values, each of its own kind."""

    def convert(name: str, value: Any) -> tuple[Any, ...]:
        require(isinstance(value, tuple | list))
        return tuple(
            kind(f"{name}[{place}]", item) for place, (kind, item) in enumerate(zip(kinds, value, strict=True))
        )

    return Kind(f"a tuple of {len(kinds)}", convert)


def mapping(kind: Kind, error: type[WeedoutError] = ConfigError) -> Kind:
    """A mapping of names to values of one kind."""

    def convert(name: str, value: Any) -> dict[str, Any]:
        require(isinstance(value, Mapping))
        items = cast(Mapping[Any, Any], value).items()
        return {NAME(f"a name in {name}", key): kind(f"{name}[{key!r}]", item) for key, item in items}

    def remedy(value: Any) -> str:
        return part_of(
            value,
            lambda part: isinstance(part, Mapping) and all(map(kind.takes, cast(Mapping[Any, Any], part).values())),
        )

    return Kind(f"a mapping of names, each value {kind.wanted}", convert, error, remedy)


def instance(*classes: type[Any]) -> Kind:
    """A value of one of a few classes, kept as it is."""

    def convert(_: str, value: Any) -> Any:
        require(isinstance(value, classes))
        return value

    def remedy(value: Any) -> str:
        return part_of(value, lambda part: type(part) in classes) or made_by(classes)

    return Kind(f"a {' or '.join(one.__name__ for one in classes)}", convert, remedy=remedy)


def exactly(*classes: type[Any]) -> Kind:
    """A value of one of a few classes, but not of a subclass: the library cannot know what a subclass changes."""

    def convert(name: str, value: Any) -> Any:
        if type(value) not in classes:
            require(isinstance(value, classes))
            derived, base = cast(type[Any], type(value)), next(one for one in classes if isinstance(value, one))
            raise ConfigError(
                f"{name} must be a {base.__name__} itself; got one of the class {derived.__module__}."
                f"{derived.__qualname__}, which is derived from it and may compute something else. Use {base.__name__}."
            )
        return value

    return replace(instance(*classes), convert=convert)


def record(kind: type[Any], fields: Callable[[], Mapping[str, Kind]]) -> Kind:
    """A NamedTuple whose fields are converted as annotated, because its constructor does not check them."""

    def convert(name: str, value: Any) -> Any:
        itself(name, value)
        found = tuple(one(f"{name}.{field}", item) for (field, one), item in zip(fields().items(), value, strict=True))
        same = all(new is old for new, old in zip(found, value, strict=True))
        return value if same else kind(*found)

    itself = exactly(kind).convert
    return replace(instance(kind), convert=convert)
