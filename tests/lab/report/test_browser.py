"""The page in a browser: it fits a phone, can be read in light and dark and by keyboard, and loads nothing."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MEASURE = (Path(__file__).parent / "measure.js").read_text(encoding="utf-8")
PHONE, DESK = 360, 1200

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium: install the package chromium"),
]


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
def test_it_can_be_read(made: Any, tmp_path: Path, width: int, dark: bool) -> None:
    found = measured(tmp_path, made.report.page, width, dark)
    assert "error" not in found, found
    assert found["dark"] == dark
    assert found["texts"] > 300
    assert found["width"] <= width, "nothing is wider than the page; wide tables scroll in themselves"
    assert found["wide"] == 0
    assert found["pale"] == [], "text has a contrast of at least 4.5"
    assert found["small"] == []
    assert found["unlit"] == [], "each link and each table that scrolls can be reached by keyboard, and shows it"
    assert found["loaded"] == [], "nothing is fetched"
    assert len(found["panels"]) >= 10
    assert min(found["panels"]) > 300


def test_the_page_itself_gives_no_error(made: Any, tmp_path: Path) -> None:
    done = browse(tmp_path, made.report.page.decode(), "--dump-dom")
    assert "CONSOLE" not in done.stderr
    assert 'id="record"' in done.stdout


def test_it_can_be_printed(made: Any, tmp_path: Path) -> None:
    browse(tmp_path, made.report.page.decode(), f"--print-to-pdf={tmp_path / 'page.pdf'}", "--no-pdf-header-footer")
    printed = (tmp_path / "page.pdf").read_bytes()
    assert printed.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 30


def test_the_measure_sees_what_is_wrong(tmp_path: Path) -> None:
    assert "CONSOLE" in browse(tmp_path, "<script>console.error('seen')</script>", "--dump-dom").stderr
    bad = b"""<!DOCTYPE html><html lang="en"><body style="background:#fff"><p style="color:#999;font-size:8px">pale</p>
    <p style="width:900px">wide</p><a href="#x" style="outline:none">unlit</a></body></html>"""
    found = measured(tmp_path, bad, PHONE, dark=False)
    assert found["width"] > PHONE
    assert [text for text, _ in found["pale"]] == ["pale"]
    assert [text for text, _ in found["small"]] == ["pale"]
    assert len(found["unlit"]) == 1
