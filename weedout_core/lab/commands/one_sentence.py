"""What the parser says of a command line that it cannot read: it draws a box of many lines, of which one is kept."""

import io
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from difflib import get_close_matches

from weedout_core.errors import ConfigError

_MOST = 300  # characters: of a value of a thousand digits the beginning tells which it is
EMPTY = "an empty word"


def check_command(arguments: Sequence[str], commands: Collection[str]) -> None:
    """Raise ConfigError if the first word is no command: the parser reads on, and says what another command lacks."""
    for word in arguments[:1]:
        if word not in commands and word[:1] != "-":
            like = "".join(f" Did you mean {close}?" for close in get_close_matches(word, commands, 1))
            raise ConfigError(f"weedout does not take {_cut(word) or EMPTY}.{like} See weedout --help.")


@contextmanager
def one_sentence(command: str, others: Collection[str]) -> Iterator[None]:
    """Inside this context the parser's errors are raised, as a ConfigError of one sentence, in place of written.

    Args:
        command: the command whose help lists its options, such as "weedout paper".
        others: the words that might be meant where another is not known, besides options.
    """
    written = io.StringIO()
    try:
        with redirect_stderr(written):
            yield
    except SystemExit as exit:
        if not exit.code:  # it has shown its help
            raise
        raise ConfigError(f"{_sentence(written.getvalue(), command, others)} See {command} --help.") from exit


#: Sentences of the parser in the words of this library.
_REWORDED = {
    r"Unrecognized options: (.+)": r"{} does not take \1",
    r"Unrecognized options:$": f"{{}} does not take {EMPTY}",
    r"Missing value for argument '(?:\S+/)?(\S+)'.*": r"\1 needs a value",
    r"Missing from weedout \w+: (.*)": r"{} needs \1",
    r"Expected one of (.*)": r"{} needs one of \1",
}


def _sentence(box: str, command: str, others: Collection[str]) -> str:
    """What is wrong, from the part above the first rule of the box, and the known word that is most like it."""
    lines = [line.strip("│|╭╮╰╯+") for line in box.splitlines()[1:-1]]
    # Where there is ASCII alone, a rule stands below the title too.
    said, *more = filter(str.strip, re.split(r"\n\W*[─-]{9,}\W*(?=\n)", "\n".join(["", *lines])))
    # Deeper lines explain an option.
    what = " ".join(" ".join(line for line in said.splitlines() if not line.startswith(" " * 9)).split()).rstrip(".")
    known = {*others, *re.findall(r"--[\w-]+", " ".join(more))} - {"--help"}
    listed = re.match(r"Unrecognized options: (.*)", what)
    unknown = listed[1].split(", ") if listed else []
    like = [close for word in unknown for close in get_close_matches(word, sorted(known - {*unknown}), 1)]
    for theirs, ours in _REWORDED.items():
        what = re.sub(theirs, ours.replace("{}", command), what)
    return f"{_cut(what)}.{''.join(f' Did you mean {word}?' for word in like[:1])}"


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MOST else f"{text[:_MOST]}…"
