# SPDX-License-Identifier: GPL-2.0-or-later
"""Assessments: figures, report, JSON."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from qgis.core import QgsProcessingException
from scene import PAIR_DAY, TARGET_DAY, read


@pytest.fixture
def case(scene):
    """The fine image of the pair as prediction, so that the nearest pair has the same error."""
    return {"INPUT": scene["fine"], "TRUTH": scene["truth"]}


def test_figures_are_those_of_the_pixels(run, case):
    results = run("stfusion:assess", dict(case, OUTPUT="TEMPORARY_OUTPUT"))
    difference = (read(case["INPUT"]).astype(float) - read(case["TRUTH"])) * 1e-4
    assert results["RMSE"] == pytest.approx(np.sqrt(np.mean(difference**2)), rel=1e-4)
    assert results["MAE"] == pytest.approx(np.mean(np.abs(difference)), rel=1e-4)
    assert results["BIAS"] == pytest.approx(np.mean(difference), rel=1e-4)
    assert 0 < results["SSIM"] < 1
    assert "SKILL" not in results
    assert run.feedback.commands == [f"stfusion assess {case['INPUT']} {case['TRUTH']}"]


def test_skill_comes_first_and_the_report_needs_nothing_else(run, case, scene, tmp_path):
    more = {
        "FINE": scene["fine"],
        "COARSE": scene["coarse"],
        "COARSE_TARGET": scene["target"],
        "DATE": PAIR_DAY,
        "DATE_TARGET": TARGET_DAY,
    }
    page, figures = tmp_path / "report.html", tmp_path / "figures.json"
    results = run("stfusion:assess", dict(case, **more, OUTPUT=str(page), JSON=str(figures)))
    assessment = json.loads(figures.read_text())
    skills = {s["baseline"]: s["skill"] for s in assessment["skill"]}
    assert skills["nearest_pair"] == pytest.approx(0, abs=1e-6)
    assert skills["coarse_increment"] < 0
    assert results["SKILL"] == min(skills.values())
    text = page.read_text(encoding="utf-8")
    assert text.index("Skill against baselines") < text.index("Accuracy")
    assert "The prediction does not beat the baseline Coarse increment." in text
    assert not re.search(r"(src|href)\s*=|@import|url\(", text)
    assert [band["label"] for band in assessment["bands"]] == ["Green", "Red", "NIR"]
    chart = ElementTree.fromstring(re.search(r"<svg.*?</svg>", text, re.DOTALL)[0])
    words = [element.text for element in chart.iter("text")]
    assert [word for word in words if word in ("overall", "Green", "Red", "NIR")] == ["overall", "Green", "Red", "NIR"]
    figures = [f"{s:+.3g}" for k in range(3) for s in (skill["skill_per_band"][k] for skill in assessment["skill"])]
    assert words[-len(figures) - 3 :] == [
        *["Green", *figures[:2]],
        *["Red", *figures[2:4]],
        *["NIR", *figures[4:]],
    ]
    logged = "\n".join(run.feedback.infos)
    assert logged.index("Skill against baselines") < logged.index("Accuracy")


def test_masked_pixels_count_neither_in_the_truth_nor_in_a_baseline(run, case, scene):
    masked = read(scene["mask"])[0] != 0
    difference = (read(case["INPUT"]).astype(float) - read(case["TRUTH"])) * 1e-4
    pair = {"FINE": scene["fine"], "DATE": PAIR_DAY}
    results = run(
        "stfusion:assess", dict(case, **pair, TRUTH_MASK=scene["mask"], FINE_MASK=scene["mask"], OUTPUT="TEMPORARY_OUTPUT")
    )
    assert results["RMSE"] == pytest.approx(np.sqrt(np.mean(difference[:, ~masked] ** 2)), rel=1e-4)
    assert results["SKILL"] == pytest.approx(0, abs=1e-6)
    mask = scene["mask"]
    assert run.feedback.commands == [
        f"stfusion assess {case['INPUT']} {case['TRUTH']} --truth-mask {mask} --fine {scene['fine']} --fine-mask {mask} "
        f"--pair-date {PAIR_DAY}"
    ]


def test_a_preset_says_which_values_of_a_mask_are_invalid(run, case, scene):
    # bit 0 of a Landsat quality band is fill: the mask's value 1
    whole = run("stfusion:assess", dict(case, OUTPUT="TEMPORARY_OUTPUT"))
    by_value = run("stfusion:assess", dict(case, TRUTH_MASK=scene["mask"], OUTPUT="TEMPORARY_OUTPUT"))
    preset = {"TRUTH_MASK": scene["mask"], "TRUTH_MASK_PRESET": "landsat_c2"}
    by_bit = run("stfusion:assess", dict(case, **preset, OUTPUT="TEMPORARY_OUTPUT"))
    assert by_bit["RMSE"] == by_value["RMSE"] != whole["RMSE"]
    assert f"--truth-mask {scene['mask']} --truth-mask-preset landsat_c2" in run.feedback.commands[0]
    missing = dict(case, TRUTH_MASK="none.tif", OUTPUT="TEMPORARY_OUTPUT")
    with pytest.raises(ValueError, match="Mask of the truth: .*none.tif"):
        run("stfusion:assess", missing)


def test_images_that_do_not_fit_are_refused_in_words(run, case, scene, tmp_path):
    page = tmp_path / "report.html"
    with pytest.raises(QgsProcessingException) as failed:
        run("stfusion:assess", dict(case, TRUTH=scene["mask"], OUTPUT=str(page)))
    assert "3 bands" in str(failed.value)
    assert Path(scene["mask"]).name in str(failed.value)
    assert not page.exists()
    with pytest.raises(ValueError, match="The coarse image of the target date is missing"):
        run("stfusion:assess", dict(case, FINE=scene["fine"], COARSE=scene["coarse"], OUTPUT=str(page)))
    with pytest.raises(ValueError, match="Data range must be a positive number; got -1"):
        run("stfusion:assess", dict(case, DATA_RANGE=-1, OUTPUT=str(page)))


def test_undefined_figures_are_dashes():
    from stfusion.report import number, page

    assert (number(None), number(0.0123449), number(-0.5, True), number(12.0, True)) == ("–", "0.01234", "-0.5", "+12")
    band = {"label": "<b>", "n": 0}
    text = page({"skill": [], "bands": [band], "overall": {"n": 0}, "data_range": 1.0, "scale": None}, "a & b")
    assert "&lt;b&gt;" in text
    assert "a &amp; b" in text
    assert "Skill" not in text
