"""The page in a browser: it fits a phone, can be read in light and dark and by keyboard, and loads nothing."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from weedout_core.lab.report.run_page import report
from weedout_core.lab.report.source import Source
from weedout_core.lab.run.reading import read_run

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MEASURE = (Path(__file__).parent / "measure.js").read_text(encoding="utf-8")
PHONE, DESK = 360, 1200

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium: install the package chromium"),
]


#: What axe-core calls the impact of what a page must not have.
GRAVE = ("serious", "critical")
AXE = """axe.run().then((found) => {
  const pre = document.createElement("pre");
  pre.id = "found";
  pre.textContent = JSON.stringify({rules: found.passes.length, violations: found.violations.map((one) =>
    [one.id, one.impact, one.nodes.map((node) => node.html.slice(0, 120))])});
  document.body.replaceChildren(pre);
});"""


class Opened(NamedTuple):
    """A page, and what it has at least: more texts than this, and this many panels."""

    page: bytes
    texts: int
    panels: int


@pytest.fixture(scope="session", params=["paper", "judged", "compared"])
def opened(request: pytest.FixtureRequest) -> Opened:
    """Each kind of page: the report of a run of the paper's experiment, of a judged one, and a comparison."""
    if request.param == "compared":
        return Opened(request.getfixturevalue("compared").report.page, 200, 8)
    run: Path = request.getfixturevalue(f"{request.param}_run")
    return Opened(report(Source(*read_run(run)), "").page, 300, 10)


def browse(folder: Path, page: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Open a page that stands in a file, without a window."""
    path = folder / "opened.html"
    path.write_text(page, encoding="utf-8")
    command = [str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += ["--enable-logging=stderr", "--window-size=1300,900", *options, path.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, encoding="utf-8")


def measured(folder: Path, page: bytes, width: int, dark: bool) -> dict[str, Any]:
    """What measure.js finds of a page that is so many pixels wide."""
    frame = f'<iframe id="report" style="width:{width}px;height:800px" srcdoc="{html.escape(page.decode())}"></iframe>'
    # The script comes before the frame has loaded, and the frame's page lets none run in itself.
    around = f'<!DOCTYPE html><html lang="en"><body>{frame}<script>{MEASURE}</script></body></html>'
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    done = browse(folder, around, "--dump-dom", "--virtual-time-budget=10000", *scheme)
    assert "CONSOLE" not in done.stderr
    (found,) = re.findall(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    return json.loads(html.unescape(found))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK], ids=["phone", "desk"])
def test_it_can_be_read(opened: Opened, tmp_path: Path, width: int, dark: bool) -> None:
    found = measured(tmp_path, opened.page, width, dark)
    assert "error" not in found, found
    assert found["dark"] == dark
    assert found["texts"] > opened.texts
    assert found["width"] <= width, "nothing is wider than the page; wide tables scroll in themselves"
    assert found["wide"] == 0
    assert found["pale"] == [], "text has a contrast of at least 4.5"
    assert found["small"] == []
    assert found["unlit"] == [], "each link and each table that scrolls can be reached by keyboard, and shows it"
    assert found["loaded"] == [], "nothing is fetched"
    assert len(found["panels"]) >= opened.panels
    assert min(found["panels"]) > 300


def test_the_page_itself_gives_no_error(opened: Opened, tmp_path: Path) -> None:
    done = browse(tmp_path, opened.page.decode(), "--dump-dom")
    assert "CONSOLE" not in done.stderr
    assert 'id="content"' in done.stdout


def test_it_can_be_printed(opened: Opened, tmp_path: Path) -> None:
    browse(tmp_path, opened.page.decode(), f"--print-to-pdf={tmp_path / 'page.pdf'}", "--no-pdf-header-footer")
    printed = (tmp_path / "page.pdf").read_bytes()
    assert printed.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 30


def violations(folder: Path, page: str) -> list[Any]:
    """What axe-core finds that is grave. The page's own policy lets no script run, and is taken out for this."""
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python is in the extra test")
    script = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    opening = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    done = browse(
        folder,
        opening.replace("</body>", f"<script>{script}</script><script>{AXE}</script></body>"),
        "--dump-dom",
        "--virtual-time-budget=20000",
    )
    (text,) = re.findall(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    found = json.loads(html.unescape(text))
    assert found["rules"] > 5, "it has looked"
    return [one for one in found["violations"] if one[1] in GRAVE]


def test_axe_finds_nothing_grave(opened: Opened, tmp_path: Path) -> None:
    assert violations(tmp_path, opened.page.decode()) == []


def test_axe_sees_what_is_wrong(tmp_path: Path) -> None:
    rows = "<p>text</p>" * 3 + '<ul aria-label="list"><p>no item</p></ul>'
    bad = f"""<!DOCTYPE html><html><head><title>bad</title></head><body><img src="data:,"><h1>head</h1>{rows}
    <p style="color:#999;background:#fff">pale</p><a href="#x"></a></body></html>"""
    assert {"image-alt", "html-has-lang", "link-name", "color-contrast"} <= {
        one[0] for one in violations(tmp_path, bad)
    }


def test_the_measure_sees_what_is_wrong(tmp_path: Path) -> None:
    assert "CONSOLE" in browse(tmp_path, "<script>console.error('seen')</script>", "--dump-dom").stderr
    bad = b"""<!DOCTYPE html><html lang="en"><body style="background:#fff"><p style="color:#999;font-size:8px">pale</p>
    <p style="width:900px">wide</p><a href="#x" style="outline:none">unlit</a></body></html>"""
    found = measured(tmp_path, bad, PHONE, dark=False)
    assert found["width"] > PHONE
    assert [text for text, _ in found["pale"]] == ["pale"]
    assert [text for text, _ in found["small"]] == ["pale"]
    assert len(found["unlit"]) == 1
