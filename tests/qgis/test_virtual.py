# SPDX-License-Identifier: GPL-2.0-or-later
"""Fusion layers that are computed where the map looks. Their driver comes from tests/driver/run; without it little is tested."""

import json
import subprocess

import numpy as np
import pytest
from conftest import COMMAND
from osgeo import gdal
from qgis.core import QgsProcessingContext, QgsProcessingException, QgsProject, QgsRasterLayer
from scene import TARGET_DAY, read
from stfusion.algorithms import installation

HAS_DRIVER = gdal.GetDriverByName("STFUSION") is not None
needs_driver = pytest.mark.skipif(not HAS_DRIVER, reason="GDAL has no driver STFUSION: run tests/driver/run first")


def test_a_missing_driver_is_told_in_a_sentence(provider, monkeypatch):
    monkeypatch.setattr(gdal, "GetDriverByName", lambda name: None)
    good, message = provider.algorithm("virtual").canExecute()
    assert not good
    assert message.startswith("GDAL 3.")
    assert "has no driver STFUSION: install gdal_STFUSION.so" in message
    report = "\n".join(installation.report()[0])
    assert f"GDAL driver: {message}" in report


@needs_driver
def test_the_layer_has_the_pixels_of_the_fusion(run, inputs, tmp_path):
    out = tmp_path / "layer.stf"
    results = run("stfusion:virtual", dict(inputs, METHOD="starfm", PARAMETERS="window=21 | filter = loose", OUTPUT=str(out)))
    assert results == {"OUTPUT": str(out), "LAYER": str(out)}
    job = json.loads(out.read_text(encoding="utf-8"))
    assert job["parameters"] == {"window": 21, "filter": "loose"}
    assert "output" not in job
    fused = tmp_path / "fused.tif"
    subprocess.run([COMMAND, "fuse", "-q", str(out), "-o", str(fused)], check=True)
    assert np.array_equal(read(out), read(fused))
    layer = QgsRasterLayer(str(out), "layer", "gdal")
    assert layer.isValid()
    assert layer.bandCount() == 3


@needs_driver
def test_the_layer_is_added_to_the_project_with_name_and_day(run, inputs):
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    results = run("stfusion:virtual", dict(inputs, METHOD="nearest_pair", OUTPUT="TEMPORARY_OUTPUT"), context=context)
    path = results["LAYER"]
    assert path.endswith(".stf")
    details = context.layersToLoadOnCompletion()[path]
    assert details.name.endswith("(virtual)")
    assert details.project == QgsProject.instance()
    assert np.array_equal(read(path), read(inputs["INPUT"]))


@needs_driver
def test_what_cannot_be_opened_leaves_no_job_file(run, inputs, scene, tmp_path):
    out = tmp_path / "layer.stf"
    with pytest.raises(QgsProcessingException, match="fine and the coarse image are swapped"):
        run("stfusion:virtual", dict(inputs, METHOD="starfm", INPUT=scene["coarse"], COARSE=scene["fine"], OUTPUT=str(out)))
    assert not out.exists()


def test_parameters_that_the_method_has_not_are_refused(run, inputs, tmp_path):
    out = str(tmp_path / "layer.stf")
    with pytest.raises(ValueError, match="windw=21 is not NAME=VALUE with a parameter of STARFM; they are window, classes"):
        run("stfusion:virtual", dict(inputs, METHOD="starfm", PARAMETERS="windw=21", OUTPUT=out))
    with pytest.raises(ValueError, match="Window size must be between 1 and 301 fine pixels; got 500"):
        run("stfusion:virtual", dict(inputs, METHOD="starfm", PARAMETERS="window=500", OUTPUT=out))


@needs_driver
def test_it_runs_in_qgis_process_and_another_algorithm_reads_its_file(process, inputs, tmp_path):
    out = tmp_path / "layer.stf"
    arguments = [f"{key}={value}" for key, value in dict(inputs, METHOD="coarse_increment", OUTPUT=out).items()]
    printed = process("run", "--json", "stfusion:virtual", "--", *arguments)
    assert printed["results"]["LAYER"] == str(out)
    statistics = process("run", "--json", "native:rasterlayerstatistics", "--", f"INPUT={out}", "BAND=1")
    values = read(out)[0]
    assert float(statistics["results"]["MEAN"]) == pytest.approx(values[values != -9999].mean() * 1e-4)
    assert TARGET_DAY in gdal.Open(str(out)).GetMetadataItem("STFUSION_TARGET_DATE")
