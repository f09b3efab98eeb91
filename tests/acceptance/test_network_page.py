"""The picture in a browser: it opens, holds 500 nodes, and prints with its warning."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from consumers.network import network_of
from consumers.network_page import page
from tests.unit.test_network import town

pytestmark = pytest.mark.slow


def chromium(folder: Path, *words: str) -> str:
    program = shutil.which("chromium")
    assert program, "expected chromium, got none; run deploy/install-services"
    fixed = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command = [program, *fixed, "--virtual-time-budget=5000", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    path = tmp_path / "heron.html"
    path.write_text(page(network_of("Blue Heron 1", town(500))), "utf-8")
    return path


def test_five_hundred_nodes_are_drawn_with_names_and_the_warning(drawn: Path) -> None:
    shown = chromium(drawn.parent, "--window-size=1500,950", "--dump-dom", drawn.as_uri())
    assert 'data-ready="true"' in shown
    count = len(re.findall(r'<g class="node', shown))
    assert count >= 500
    assert f"{count} of {count} nodes" in shown
    assert "without being associates" in shown.split('id="tools"')[0]
    named = re.findall(r'<text class="label[^"]*"', shown)
    legible = [each for each in named if "gone" not in each]
    assert len(legible) >= 40, len(legible)  # the rest have room nearer


def test_it_prints_the_picture_and_the_list(drawn: Path) -> None:
    paper = drawn.with_suffix(".pdf")
    words = ["--no-pdf-header-footer", f"--print-to-pdf={paper}", drawn.as_uri()]
    chromium(drawn.parent, *words)
    content = paper.read_bytes()
    assert content.startswith(b"%PDF")
    pages = re.findall(rb"/Count (\d+)", content)
    assert max(map(int, pages)) >= 3
    assert len(content) > 50_000


def test_a_screenshot_is_a_picture(drawn: Path) -> None:
    shot = drawn.with_suffix(".png")
    chromium(drawn.parent, "--window-size=1500,950", f"--screenshot={shot}", drawn.as_uri())
    assert shot.stat().st_size > 60_000  # a blank one has about 10,000
