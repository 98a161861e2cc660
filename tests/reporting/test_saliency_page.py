"""Saliency in the patient report: pictures inside the page, only when asked for."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from pages import Page
from PIL import Image

from osler.models.image_saliency import SalientImage
from osler.reporting import report_patient, write_patient_report
from osler.reporting.saliency_figures import overlay, salient_pictures


def _image(*sides: int, label: str = "Chest x-ray") -> SalientImage:
    pixels = np.full((1, *sides), 0.5, np.float32)
    values = np.zeros(sides)
    values[..., : sides[-1] // 2] = 0.01
    values[..., sides[-1] // 2 :] = -0.01
    if len(sides) == 3:
        values[2] *= 3
    return SalientImage("xray", label, 0.0, pixels, values, 0.5, 0.001)


def _pixels(uri: str) -> np.ndarray:
    assert uri.startswith("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))), dtype=int)


def test_what_raises_is_warm_and_what_lowers_is_cold():
    (told,) = salient_pictures([_image(16, 16)])
    plain, over = _pixels(told["picture"]), _pixels(told["overlaid"])
    assert plain.shape == over.shape == (320, 320, 3)
    assert (plain == 128).all()
    left, right = over[160, 40], over[160, 280]
    assert left[0] > left[2] + 50
    assert right[2] > right[0] + 50
    assert told["factor"] == pytest.approx(np.exp(0.5))
    assert told["slice"] == ""


def test_a_volume_is_shown_by_its_most_telling_slice_and_scales_are_shared():
    faint = _image(16, 16)
    told = salient_pictures([_image(4, 16, 16), faint])
    assert told[0]["slice"] == "slice 3 of 4"
    strong, weak = (_pixels(one["overlaid"])[160, 40, 0] for one in told)
    assert strong > weak
    assert salient_pictures([]) == []


def test_colour_and_shape_are_kept():
    colour = np.stack([np.full((10, 20), v, np.float32) for v in (1.0, 0.5, 0.0)])
    pixels = _pixels(overlay(colour, None, 1.0))
    assert pixels.shape == (160, 320, 3)
    assert pixels[5, 5].tolist() == [255, 128, 0]


def test_only_on_request(cohort, model, patient, patient_page, tmp_path):
    common = {"patient": patient, "model": model, "cohort": cohort, "at": "1y"}
    hostile = _image(16, 16, label="<b>film</b>")
    assert salient_pictures([hostile]) == salient_pictures([hostile])
    source = write_patient_report(tmp_path / "i.html", images=[hostile], **common).read_text()
    page = Page(source)
    assert "In the images" in page.words
    assert "1.65 times" in page.words
    assert "<b>film" not in source
    assert not page.problems
    assert "In the images" not in patient_page.words
    asked = report_patient(tmp_path / "a.html", model=model, patient=patient, at="1y", saliency=True)
    assert "the model reads no pixels" in Page(asked.read_text()).words
