"""Laws of the page: names stay names, numbers are those of the comparison, and a reader can use it in a browser."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from browser import browser, chromium
from fabricated import fabricated, grid

from comparing.compare import compare
from comparing.page import MOST_POINTS, write_page
from comparing.views import learning_curves

HOSTILE = "</script><script>alert(1)</script><img src=//x.invalid/y>&\"'"
needs_a_browser = pytest.mark.skipif(chromium() is None, reason="no Chromium here: apt-get install chromium")


class Parsed(HTMLParser):
    """The tags of a page, its text, and what its scripts hold."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.attributes: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data):
        if data.strip():
            (self.scripts if self.tags[-1:] == ["script"] else self.texts).append(data)


def written(runs) -> str:
    write_page(compare(runs), Path("report.html"))
    return Path("report.html").read_text()


def hostile_runs():
    curve = np.linspace(0, 1, 5)
    return [fabricated(HOSTILE, encoder, seed, curve) for encoder in (HOSTILE, "mlp") for seed in range(2)]


def test_a_name_stays_a_name():
    tame, hostile = Parsed(written(grid("DoorKey-5x5", "cnn mlp", 2))), Parsed(written(hostile_runs()))
    assert set(hostile.tags) <= set(tame.tags) and set(hostile.attributes) <= set(tame.attributes)
    data, script = hostile.scripts
    assert json.loads(data)["names"] == [HOSTILE, "mlp"] and script == tame.scripts[1]
    assert any(HOSTILE in text for text in hostile.texts)


def test_only_the_script_of_the_page_may_run_and_nothing_may_be_asked_for():
    page = written(grid("DoorKey-5x5", "cnn mlp", 2))
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    checksum = b64encode(sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{checksum}'" in page
    assert set(re.findall(r"https?://[^\s\"']*", page)) == {"http://www.w3.org/2000/svg"}


def test_a_curve_of_the_page_has_its_ends_and_no_more_points_than_can_be_seen():
    rise = np.linspace(0, 1, 500) ** 2
    comparison = compare([fabricated("DoorKey-5x5", "mlp", seed, rise) for seed in range(2)])
    write_page(comparison, Path("report.html"))
    (curve,) = learning_curves(comparison)[0].series
    data = json.loads(Parsed(Path("report.html").read_text()).scripts[0])
    (shown,) = data["panels"][0]["series"]
    assert len(shown["x"]) == len(shown["y"]) == len(shown["runs"][0]) == MOST_POINTS
    assert (shown["x"][0], shown["x"][-1]) == (curve.x[0], curve.x[-1]) and shown["y"][-1] == curve.y[-1]
    points = np.searchsorted(curve.x, shown["x"])
    assert np.allclose(curve.y[points], shown["y"], rtol=1e-4, atol=1e-9)


@needs_a_browser
@pytest.mark.slow
def test_a_reader_sorts_hovers_hides_and_asks_nobody_for_anything(tmp_path):
    unfinished = replace(fabricated("LavaGapS7", "lstm", 0, [0.1]), result=None)
    comparison = compare([*grid(), *hostile_runs(), unfinished])
    write_page(comparison, Path("report.html"))
    table = "#scores > .scroll:last-child"
    heading = f"{table} th:nth-child(5)"
    with browser(tmp_path / "profile") as page:
        page.open(Path("report.html"))

        def column() -> list[float]:
            return page.value(
                f"[...document.querySelectorAll('{table} tbody tr')].map(row => row.cells[4])"
                ".filter(cell => cell.dataset.value !== '').map(cell => Number(cell.dataset.value))"
            )

        def order() -> str | None:
            return page.value(f"document.querySelector('{heading}').getAttribute('aria-sort')")

        # a click on a heading sorts; the keyboard turns it round; what is missing stays last
        before = column()
        means = [one.interquartile_mean.value for each in comparison.environments for one in each.contenders]
        assert sorted(before) == pytest.approx(sorted(means), abs=1e-5) and order() is None
        page.click(f"{heading} button")
        assert column() == sorted(before, reverse=True) and order() == "descending"
        page.press("Enter")
        assert column() == sorted(before) and order() == "ascending"
        assert page.value(f"document.querySelector('{table} tbody tr:last-child').textContent").endswith("missing")

        # the value under the pointer
        panel = next(each for each in learning_curves(comparison) if each.title == "LavaGapS7")
        place = [each.title for each in learning_curves(comparison)].index("LavaGapS7")
        page.hover(f"#learning-curves figure:nth-child({place + 1}) .chart", across=0.999)
        shown = page.value("document.getElementById('value').innerText")
        assert "environment steps: 12,000" in shown
        for name, series in zip(("cnn", "gnn", "mlp"), panel.series, strict=True):
            low, y, high = (f"{values[-1]:.2f}" for values in (series.low, series.y, series.high))
            assert re.search(rf"{name}\s+{y}\s+\[{low}, {high}\]", shown), shown
        page.hover("h1")
        assert page.value("document.getElementById('value').hidden")

        # a contender is hidden and shown again
        drawn = "document.querySelectorAll('.chart .series[data-contender=\"1\"]').length"
        lines = f"document.querySelectorAll('{table} tbody tr:not([hidden])').length"
        there = page.value(drawn), page.value(lines)
        page.click(".legend button:nth-child(2)")
        assert page.value(drawn) == 0 and page.value(lines) < there[1]
        page.click(".legend button:nth-child(2)")
        assert (page.value(drawn), page.value(lines)) == there

        # it fits a phone, and the dark
        page.open(Path("report.html"), width=390, scheme="dark")
        assert page.value("document.documentElement.scrollWidth") <= 390
        assert page.value("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
        assert page.value("document.querySelector('h1').textContent.length") > 0
        assert {*page.requests} == {Path("report.html").resolve().as_uri()}
        assert page.errors == []


@needs_a_browser
@pytest.mark.slow
def test_a_request_an_error_and_a_foreign_script_would_be_noticed(tmp_path):
    page_with = written(grid("DoorKey-5x5", "cnn mlp", 2)).replace("<body>", "<body><img src=http://x.invalid/y>")
    Path("other.html").write_text(page_with.replace("</body>", "<script>document.title = 'ran'</script></body>"))
    Path("open.html").write_text("<script>fetch('http://x.invalid/'); missing()</script>")
    with browser(tmp_path / "profile") as page:
        page.open(Path("other.html"))
        assert page.value("document.title") != "ran" and len(page.errors) == 2
        page.open(Path("open.html"))
        assert "http://x.invalid/" in page.requests and any("missing is not defined" in error for error in page.errors)
