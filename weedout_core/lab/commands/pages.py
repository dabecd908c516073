"""Where a page and the files that it links to are written, and what is never overwritten."""

from pathlib import Path
from typing import NamedTuple

from weedout_core.errors import RunError
from weedout_core.lab.files import exists, listed, make_folder, read_file, real, write_file
from weedout_core.lab.report.page import Report


class Place(NamedTuple):
    """A folder, the name of the page in it, and the folder of the other files within it, "" if they stand beside."""

    folder: Path
    page: str
    files: str

    @property
    def beside(self) -> Path:
        """The folder of the files that the page links to."""
        return self.folder / self.files


def check_own(place: Place, mark: str, whose: str, run: Path | None = None) -> None:
    """Raise RunError if what would be overwritten is something else's, or leads elsewhere by a link.

    Args:
        place: where a page is to be written.
        mark: what a page of the same has in it.
        whose: what the page is, such as "the report of runs/digits".
        run: the run in whose own folder the page may stand; None if it may be in no run's. Files without a page are
            then refused too.
    """
    page, beside = place.folder / place.page, place.beside
    above = next((one for one in (place.folder, *place.folder.absolute().parents) if one.exists()), place.folder)
    if above.exists() and not above.is_dir():
        raise RunError(f"{above} must be a folder; it is a file. Choose another with --out.")
    if beside.is_symlink() or (beside.exists() and not beside.is_dir()):
        raise RunError(f"{beside} must be a folder, and no link. Remove it, or choose another with --out.")
    holds = exists(place.folder / "config.json")
    if holds and (run is None or real(place.folder) != real(run)):
        raise RunError(
            f"{place.folder} holds another run than {run}. Choose another folder with --out."
            if run
            else f"{place.folder} holds a run. Choose another folder with --out."
        )
    if run and real(place.folder) != real(run) and real(place.folder).is_relative_to(real(run)):
        raise RunError(f"{place.folder} is in the folder of the run {run}. Choose another folder with --out.")
    if exists(page) and mark.encode() not in _content(page):
        raise RunError(f"{page} is not {whose}. Choose another folder with --out.")
    if run is None and not exists(page) and listed(place.folder):
        raise RunError(f"{place.folder} must be empty or hold {whose}. Choose another folder with --out.")


def _content(page: Path) -> bytes:
    try:
        return read_file(page)
    except RunError as error:
        raise RunError(f"{error} Remove it, or choose another folder with --out.") from error


def write_report(place: Place, made: Report) -> None:
    """Write a page first, by which its folder is known, and then what it links to."""
    make_folder(place.beside)
    write_file(place.folder / place.page, made.page)
    for name, content in made.beside.items():
        write_file(place.beside / name, content)
