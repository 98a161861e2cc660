"""Both reports as pages: one file, nothing fetched, readable by everybody, the same bytes again."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import shutil
import subprocess

import pytest
from evaluated import evaluated
from pages import CONFIG, FETCHING, RUN, choice, frames

from osler.reporting import write_study_report


def test_tags_are_closed_and_ids_are_unique(page):
    assert page.problems == []
    ids = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))


def test_headings_descend_one_step_at_a_time(page):
    levels = [int(e.tag[1]) for e in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_landmarks_language_title_and_skip_link(page):
    assert page.all("html")[0].attributes["lang"] == "en"
    assert page.all("title")[0].text.strip()
    for tag in ("header", "nav", "main", "footer"):
        assert len(page.all(tag)) == 1
    first = page.all("a")[0]
    assert first.attributes["href"] == "#main"


def test_contents_lead_to_sections_that_exist(page):
    ids = {e.attributes.get("id") for e in page.elements}
    targets = [e.attributes["href"] for e in page.all("a")]
    assert len(targets) > 5
    assert all(target.startswith("#") and target[1:] in ids for target in targets)


def test_every_section_is_in_the_contents(page):
    sections = [e.attributes["id"] for e in page.all("section")]
    targets = [e.attributes["href"][1:] for e in page.all("a")][1:]
    assert targets == sections


def test_pictures_have_words_that_state_a_finding(page):
    images = page.all("img")
    assert len(images) >= 4
    for image in images:
        assert len(image.attributes["alt"].removeprefix("Chart. ")) > 15
        assert image.attributes["src"].startswith("data:image/svg+xml;base64,")


def test_drawn_figures_have_labels_or_are_hidden_from_readers_of_the_screen(page):
    for svg in page.all("svg"):
        assert svg.attributes.get("aria-hidden") == "true" or svg.attributes.get("aria-label")


def test_tables_have_captions_and_scopes(page):
    tables = page.all("table")
    assert len(tables) >= 4
    assert len(page.all("caption")) == len(tables)
    assert all(e.attributes.get("scope") in ("col", "colgroup", "row", "rowgroup") for e in page.all("th"))
    assert all(
        "scroll" in str(e.attributes.get("class")) or e.tag != "div"
        for e in page.all("div")
        if "tabindex" in e.attributes
    )


def test_wide_tables_scroll_in_their_own_box(page):
    boxes = [e for e in page.all("div") if e.attributes.get("class") == "scroll"]
    assert len(boxes) == len(page.all("table"))
    assert all(e.attributes.get("tabindex") == "0" and e.attributes.get("aria-label") for e in boxes)


def test_nothing_is_fetched(page):
    for element in page.elements:
        for name in FETCHING:
            value = element.attributes.get(name) or ""
            assert not value or value.startswith("data:"), (element.tag, name)
        href = element.attributes.get("href") or "#"
        assert href.startswith("#"), (element.tag, href)
    assert not page.all("link", "iframe", "object", "embed", "form", "base", "audio", "video", "source")
    styles = " ".join(e.text for e in page.all("style"))
    assert "url(" not in styles
    assert "@import" not in styles


def test_pictures_fetch_nothing(page):
    for svg in page.pictures:
        assert not re.search(r"(href|src)\s*=", svg)
        assert "<script" not in svg
        assert set(re.findall(r"https?://[^\"'\s<]+", svg)) <= {
            "http://www.w3.org/2000/svg",
            "http://www.w3.org/1999/xlink",
        }


def test_charts_load_nothing_and_draw_from_data_inside(page):
    def walk(value):
        if isinstance(value, dict):
            assert "url" not in value
            assert "href" not in value
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    charts = json.loads(page.data)
    assert len(charts) == len(page.all("img"))
    walk(charts)


def test_the_policy_allows_these_scripts_and_nothing_else(page):
    policy = next(
        e.attributes["content"] for e in page.all("meta") if e.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "unsafe" not in policy
    scripts = [e.text for e in page.all("script") if e.attributes.get("type") != "application/json"]
    assert rules["script-src"].split() == [_hash(script) for script in scripts]
    assert rules["style-src"].split() == [_hash(style.text) for style in page.all("style")]


def test_no_handler_and_no_style_stands_in_an_attribute(page):
    for element in page.elements:
        assert not [name for name in element.attributes if name.startswith("on") or name == "style"]


def test_without_scripts_everything_is_shown_but_the_switches(page):
    hidden = [e for e in page.elements if "hidden" in e.attributes]
    assert hidden
    assert {str(e.attributes.get("class")) for e in hidden} <= {"live", "switches"}
    assert all("hidden" not in e.attributes for e in page.all("img"))


def test_switches_are_labelled_and_start_somewhere(study_page):
    names = {}
    for radio in study_page.all("input"):
        names.setdefault(radio.attributes["name"], []).append("checked" in radio.attributes)
    assert names
    assert all(sum(checked) == 1 for checked in names.values())
    assert len(study_page.all("legend")) == len(study_page.all("fieldset"))


def test_every_position_of_the_switches_has_words(study_page):
    for chart in json.loads(study_page.data):
        if chart["switches"]:
            assert all(chart["findings"].values())
            assert all(len(key.split("|")) == len(chart["switches"]) for key in chart["findings"])


def test_no_identifier_is_written(page, cohort):
    assert sum(name in page.source for name in cohort.patients) == 0


def test_no_number_is_missing_by_accident(page):
    assert not re.search(r"\b(nan|None|inf|undefined|NaN)\b", page.words)


def test_the_same_input_gives_the_same_bytes(cohort, study_path, tmp_path):
    again = write_study_report(
        tmp_path / "other.html",
        cohort=cohort,
        config=CONFIG,
        **frames() | evaluated(),
        choice=choice(),
        run=RUN,
        description="Simulated patients.",
    )
    assert again.read_bytes() == study_path.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["other.html"]


def test_text_is_dark_enough_on_its_ground(page):
    """Contrast of every text colour of the style with its ground is at least 4.5 (WCAG AA)."""
    style = page.all("style")[0].text
    colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", style))
    for text in ("ink", "muted", "accent", "event", "good", "warn"):
        for ground in ("paper", "wash"):
            assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert _contrast("#ffffff", colours["accent"]) >= 4.5
    assert _contrast(colours["ink"], "#eaf3fa") >= 4.5


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_makes_every_chart_live_under_the_policy(study_path, patient_path, tmp_path):
    for path in (study_path, patient_path):
        command = [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--enable-logging=stderr",
        ]
        command += [f"--user-data-dir={tmp_path}", "--virtual-time-budget=20000", "--dump-dom", path.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        figures = re.findall(r'<figure class="(chart[^"]*)"', done.stdout)
        assert figures
        assert all("is-live" in name for name in figures)
        assert "CONSOLE" not in done.stderr
        assert "undefined" not in re.sub(r"<script.*?</script>", "", done.stdout, flags=re.S)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
