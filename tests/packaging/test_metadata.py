"""What stands around the code is well formed and true: the citation, the workflow, the forms, the release checklist."""

import re
from pathlib import Path
from typing import Any

import pytest

import weedout_core as wc

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).parents[2]
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")

#: What the schema of version 1.2.0 allows at the top, of what is used here, and in the reference to a paper.
TOP = {
    "cff-version", "message", "type", "title", "abstract", "version", "license", "authors", "keywords",
    "preferred-citation",
}  # fmt: skip
PAPER = {"type", "title", "authors", "year", "url", "identifiers"}


def parsed(*parts: str) -> Any:
    return yaml.safe_load((ROOT.joinpath(*parts)).read_text(encoding="utf-8"))


def test_the_citation_follows_its_schema() -> None:
    cff = parsed("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(cff) <= TOP
    assert (cff["cff-version"], cff["type"], cff["license"]) == ("1.2.0", "software", "Apache-2.0")
    assert all(set(author) == {"name"} for author in cff["authors"]), "an entity has a name"
    paper = cff["preferred-citation"]
    assert {"type", "title", "authors"} <= set(paper) <= PAPER
    assert (paper["type"], paper["year"]) == ("article", 2024)
    assert paper["authors"] == [{"family-names": "Farahani", "given-names": "Rezsa"}]
    assert [set(one) for one in paper["identifiers"]] == [{"type", "value", "description"}]
    assert paper["identifiers"][0]["type"] == "other"


def test_the_citation_is_of_this_version_and_of_the_paper_that_the_readme_names() -> None:
    cff, readme = parsed("CITATION.cff"), (ROOT / "README.md").read_text(encoding="utf-8")
    assert str(cff["version"]) == wc.__version__
    assert f"version = {{{wc.__version__}}}" in readme
    assert cff["preferred-citation"]["title"] in readme
    assert cff["preferred-citation"]["url"] in readme


def test_the_workflow_runs_what_a_developer_runs() -> None:
    workflow = parsed(".github", "workflows", "ci.yml")
    (job,) = workflow["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111, "it can be executed"
    assert workflow["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_forms_are_well_formed(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(form) <= {"name", "description", "labels", "body"}
    fields = [one["id"] for one in form["body"]]
    assert len(fields) == len(set(fields)), "each field has an identifier of its own"
    for one in form["body"]:
        assert set(one) <= {"type", "id", "attributes", "validations"}
        assert one["type"] in {"textarea", "dropdown", "input", "checkboxes"}
        assert one["attributes"]["label"]
        assert one["type"] != "dropdown" or one["attributes"]["options"]
    assert any(one.get("validations", {}).get("required") for one in form["body"])


def files(text: str) -> list[str]:
    """The files and folders of the tree that a page names."""
    places = "weedout_core|reference|backends|benchmarks|docs|examples|tests"
    return re.findall(rf"((?:{places})/[\w./-]*\w|\b[A-Z]+\.(?:md|cff))", text)


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "RELEASING.md", "SECURITY.md", ".github/PULL_REQUEST_TEMPLATE.md"])
def test_files_that_are_named_exist(page: str) -> None:
    for name in files((ROOT / page).read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), f"{page} names {name}"


@pytest.mark.parametrize("layer", ["Dense", "BatchNorm", "Residual"])
def test_the_checklist_of_a_layer_names_the_files_where_layers_are_told_apart(layer: str) -> None:
    """A file of the library that matches on layers and is not on the list would be forgotten."""
    checklist = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Adding a layer")[1].split("\n## ")[0]
    for folder in ("weedout_core", "reference", "backends"):
        for path in (ROOT / folder).rglob("*.py"):
            if re.search(rf"^\s+case .*(?<![\w.]){layer}\(", path.read_text(encoding="utf-8"), re.M):
                assert f"`{path.name}`" in checklist or f"/{path.name}`" in checklist, path


def test_the_release_checklist_is_whole() -> None:
    text = (ROOT / "RELEASING.md").read_text(encoding="utf-8")
    assert {"weedout_core/__init__.py", "CITATION.cff", "CHANGELOG.md", "CONTRIBUTING.md"} <= set(files(text))
    assert "\n## When masks change\n" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    steps = [int(number) for number in re.findall(r"^(\d+)\. \*\*", text, re.M)]
    assert steps == list(range(1, len(steps) + 1))
