# SPDX-License-Identifier: GPL-2.0-or-later
"""Comparisons of methods: figures, report, parameters, refusals, cancel."""

import json
import os
import re
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import Feedback
from qgis.core import QgsProcessingException, QgsRasterLayer
from scene import PAIR_DAY, TARGET_DAY, make_scene, read
from stfusion import compat, specification

METHODS = [m for m in specification.load()["methods"] if m["family"] != "Baselines"]


@pytest.fixture
def two(scene):
    """The two pairs of the scene, whose names tell their dates."""
    return {"INPUT": [scene["fine"], scene["truth"]], "COARSE": [scene["coarse"], scene["target"]], "METHODS": ["starfm"]}


def test_each_day_is_predicted_from_the_other(run, two, scene, tmp_path):
    page, table, figures = tmp_path / "report.html", tmp_path / "figures.csv", tmp_path / "figures.json"
    results = run("stfusion:compare", dict(two, OUTPUT=str(page), CSV=str(table), JSON=str(figures)))
    found = json.loads(figures.read_text())
    assert [fold["label"] for fold in found["folds"]] == [PAIR_DAY, TARGET_DAY]
    names = {method["name"]: method for method in found["methods"]}
    assert set(names) == {"starfm", "nearest_pair", "linear_in_time", "coarse_increment"}
    difference = (read(scene["fine"]).astype(float) - read(scene["truth"])) * 1e-4
    nearest = names["nearest_pair"]["scores"]["overall"]
    assert nearest["rmse"] == pytest.approx(np.sqrt(np.mean(difference**2)), rel=1e-5)
    assert results["BEST_METHOD"] == found["best"] == found["methods"][0]["name"]
    assert results["BEST_SKILL"] == pytest.approx(found["best_skill"])
    assert results["RECOMMENDATION"].startswith("On your 2 pairs, ")
    assert results["SECONDS"] > 0
    assert (results["OUTPUT"], results["CSV"], results["JSON"]) == (str(page), str(table), str(figures))
    assert len(table.read_text().splitlines()) == 1 + 4 * 3 * 4
    text = page.read_text(encoding="utf-8")
    assert text.index("Skill against simple baselines") < text.index("<h2>Accuracy")
    assert "<script" not in text
    assert all(source.startswith("data:image/png;base64,") for source in re.findall(r'src="([^"]*)', text))
    logged = "\n".join(run.feedback.infos)
    assert logged.index(found["recommendation"]) < logged.index("starfm ")
    assert run.feedback.steps == sorted(run.feedback.steps)
    method = "--method starfm " if len(METHODS) > 1 else ""
    assert run.feedback.commands == [
        f"stfusion compare --pair fine={scene['fine']},coarse={scene['coarse']} "
        f"--pair fine={scene['truth']},coarse={scene['target']} {method}--report {page} --csv {table} --overwrite"
    ]


def test_all_methods_take_part_or_are_named_with_the_reason(run, two, tmp_path):
    figures = tmp_path / "figures.json"
    parameters = {name: value for name, value in two.items() if name != "METHODS"}
    results = run("stfusion:compare", dict(parameters, OUTPUT="TEMPORARY_OUTPUT", JSON=str(figures)))
    found = json.loads(figures.read_text())
    left_out = {method["name"] for method in found["left_out"]}
    # networks take part when they are asked for, with their weights
    all_methods = [m for m in specification.load()["methods"] if not any(p.get("required") for p in m["parameters"])]
    assert left_out == {m["id"] for m in all_methods if m["min_pairs"] > 1 and m["family"] != "Baselines"}
    assert {m["name"] for m in found["methods"]} | left_out == {m["id"] for m in all_methods}
    assert Path(results["OUTPUT"]).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert "--method" not in run.feedback.commands[0]
    logged = "\n".join(run.feedback.infos)
    assert all(f"{name} was left out: " in logged for name in left_out)


def test_layers_dates_bands_and_options_reach_the_library(run, two, scene, tmp_path):
    figures = tmp_path / "figures.json"
    layers = [QgsRasterLayer(name, "layer") for name in two["INPUT"]]
    for layer, day in zip(layers, ("2020-01-01", "2020-02-01")):
        compat.set_day(layer, day)
    parameters = dict(two, INPUT=layers, FINE_BANDS="3;1", COARSE_BANDS="3;1", THREADS=1, OUTPUT="TEMPORARY_OUTPUT")
    run("stfusion:compare", dict(parameters, JSON=str(figures)))
    found = json.loads(figures.read_text())
    assert found["bands"] == ["NIR", "Green"]
    assert found["threads"] == 1
    assert [fold["date"] for fold in found["folds"]] == ["2020-01-01", "2020-02-01"]
    run("stfusion:compare", dict(parameters, DATES="2020-03-01, 2020092", JSON=str(figures)))
    assert [fold["date"] for fold in json.loads(figures.read_text())["folds"]] == ["2020-03-01", "2020-04-01"]
    assert "--bands 3=3,1=1 --threads 1" in run.feedback.commands[0]
    assert f"--pair fine={scene['fine']},coarse={scene['coarse']},date=2020-03-01" in run.feedback.commands[0]


def test_a_table_gives_pairs_with_masks(run, scene, tmp_path):
    table, figures = tmp_path / "pairs.csv", tmp_path / "figures.json"
    rows = [
        "role,date,path,mask,sensor",
        f"fine,{PAIR_DAY},{scene['fine']},{scene['mask']},",
        f"coarse,{PAIR_DAY},{scene['coarse']},,",
        f"fine,{TARGET_DAY},{scene['truth']},,",
        f"coarse,{TARGET_DAY},{scene['target']},,",
    ]
    table.write_text("\n".join(rows))
    parameters = {"SCENE_TABLE": str(table), "METHODS": ["starfm"], "OUTPUT": "TEMPORARY_OUTPUT", "JSON": str(figures)}
    run("stfusion:compare", parameters)
    masked = int(np.count_nonzero(read(scene["mask"])))
    first = json.loads(figures.read_text())["folds"][0]
    assert first["truth_samples"] == 3 * (120 * 120 - masked)


def test_what_cannot_be_compared_is_refused_in_words(run, two, scene, tmp_path):
    page = tmp_path / "report.html"

    def refused(sentence, **changes):
        with pytest.raises((ValueError, QgsProcessingException), match=sentence):
            run("stfusion:compare", {**two, "OUTPUT": str(page), **changes})
        assert not page.exists()

    refused("at least two days.*got 1", INPUT=[scene["fine"]], COARSE=[scene["coarse"]])
    refused("at least two days.*got 0", INPUT=None, COARSE=None)
    refused("must be as many.*got 2 and 1", COARSE=[scene["coarse"]])
    refused("Dates must be as many as fine images.*got 1 for 2", DATES="2020-01-01")
    refused("'yesterday' is not a date", DATES="yesterday today")
    refused("Fine images: .*none.tif", INPUT=[scene["fine"], "none.tif"])
    refused("Bands of the fine images must be numbers of bands", FINE_BANDS="red")
    refused("120 x 120", INPUT=[scene["fine"], scene["coarse"]])
    refused("The folder|folder .* does not exist", OUTPUT=str(tmp_path / "no" / "such" / "report.html"))


@pytest.mark.parametrize("by", ["progress", "another thread"])
def test_a_cancelled_comparison_leaves_nothing(run, tmp_path_factory, tmp_path, by):
    names = make_scene(tmp_path_factory.mktemp("large"), 1600)
    parameters = {
        "INPUT": [names["fine"], names["truth"]],
        "COARSE": [names["coarse"], names["target"]],
        "METHODS": ["starfm"],
        "THREADS": 1,
        "OUTPUT": str(tmp_path / "report.html"),
        "CSV": str(tmp_path / "figures.csv"),
    }
    feedback = Feedback(cancel_at=10 if by == "progress" else None)
    if by == "another thread":
        threading.Timer(1.0, feedback.cancel).start()
    assert run("stfusion:compare", parameters, feedback) == {}
    assert max(feedback.steps, default=0) < 95
    assert os.listdir(tmp_path) == []
    assert "Cancelled: nothing was written." in feedback.infos


def test_it_runs_in_qgis_process(process, two, tmp_path):
    page = tmp_path / "report.html"
    images = [f"{name}={item}" for name in ("INPUT", "COARSE") for item in two[name]]
    printed = process("run", "--json", "stfusion:compare", "--", *images, "METHODS=starfm", f"OUTPUT={page}")
    assert printed["results"]["OUTPUT"] == str(page)
    assert float(printed["results"]["BEST_SKILL"]) < 1
    assert printed["results"]["RECOMMENDATION"].startswith("On your 2 pairs, ")
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    text = process("run", "stfusion:compare", "--", images[0], images[2], f"OUTPUT={page}", fails=True)
    assert "Give the fine and the coarse images of at least two days" in text
    assert "stfusion:compare\tCompare methods" in process("list")
