"""Options that take several values, or none: mistakes that the parser does not see, or does not explain."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from weedout_core.errors import ConfigError

#: The commands that take methods.
_OF_METHODS = ("judge", "sweep")


def check_several(
    arguments: Sequence[str],
    numbers: Collection[str],
    texts: Collection[str],
    flags: Collection[str],
    methods: Collection[str],
) -> None:
    """Raise ConfigError where options of several values are given in a way that the parser misreads or cannot explain.

    The same for options that take no value, which words follow where there are methods alone.

    Of an option that is given twice the parser takes the last one. For a single value that is usual; several values
    might be meant to be joined. And it takes all words after such an option as its values, methods too.

    Args:
        arguments: the command line.
        numbers, texts: the names of the options that take several numbers, and several texts, without "--".
        flags: the names of the options that take no value.
        methods: the names of methods, which are no values of ``texts``, unless a folder has the name.
    """
    several = {*numbers, *texts}
    given: list[tuple[str, list[str]]] = []
    for word in arguments:
        if word[:2] == "--":
            option, _, word = word[2:].partition("=")
            given.append((option.replace("_", "-"), []))
        if given and word:
            given[-1][1].append(word)
    times = Counter(option for option, _ in given)
    for option, words in given:
        flag = option.removeprefix("no-")
        if flag in flags and words and arguments[0] not in _OF_METHODS:
            raise ConfigError(f"--{option} takes no value; got {words[0]!r}. Write --{flag} or --no-{flag} alone.")
        if option not in several:
            continue
        if times[option] > 1:
            raise ConfigError(
                f"--{option} must be given once; got it {times[option]} times. Give it once, followed by all of its "
                "values."
            )
        if any(re.search(r"[,;\s]", word) for word in words):
            values = " ".join(re.findall(r"[^][(),;\s]+", " ".join(words)))
            raise ConfigError(
                f"--{option} takes values separated by spaces; got {' '.join(words)!r}. Write --{option} {values}."
            )
        others = [word for word in words if _is_no_value(word, option in numbers, methods)]
        if others:
            takes = "numbers" if option in numbers else "no method"
            values = " ".join([f"--{option}", *(word for word in words if word not in others)])
            order = f"weedout {arguments[0]} {' '.join(others)} {values}"
            remedy = ""
            if not all(word.isidentifier() for word in others):
                remedy = " Write each as a plain number, 80 % as 0.8."
            elif arguments[0] in _OF_METHODS:
                remedy = f" Methods stand before options of several values: {order}."
            raise ConfigError(f"--{option} takes {takes}; got {' '.join(others)!r}.{remedy}")


def _is_no_value(word: str, number: bool, methods: Collection[str]) -> bool:
    """Whether a word among the values of an option cannot be one of them. "None" and short options are the parser's."""
    if not number:
        return word in methods and not Path(word).is_dir()
    return word != "None" and word[:1] != "-" and not _is_number(word)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
