# SPDX-License-Identifier: GPL-2.0-or-later
"""Fusions in the process of QGIS, as the toolbox runs them."""

import json
import os
import subprocess
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import COMMAND, Feedback
from osgeo import gdal
from qgis.core import (
    QgsApplication,
    QgsColorRampShader,
    QgsContrastEnhancement,
    QgsMultiBandColorRenderer,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelChildParameterSource,
    QgsProcessingModelOutput,
    QgsProcessingModelParameter,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProject,
    QgsRasterLayer,
)
from scene import PAIR_DAY, TARGET_DAY, read
from stfusion import specification


def command_line(folder, *arguments):
    """Run the `stfusion` program and return its output image."""
    out = folder / "cli.tif"
    subprocess.run([COMMAND, "fuse", "-q", *arguments, "-o", str(out)], check=True)
    return read(out)


def test_a_fusion_to_a_file_is_what_the_command_line_makes(run, inputs, tmp_path):
    out = tmp_path / "out.tif"
    rule = next(p for p in specification.method("starfm")["parameters"] if p["id"] == "filter")
    other = next(option["id"] for option in rule["options"] if option["id"] != rule["default"])
    results = run("stfusion:starfm", dict(inputs, OUTPUT=str(out), WINDOW=31, FILTER=other, SPATIAL_IMPORTANCE=12.5))
    assert results["OUTPUT"] == str(out)
    assert results["PREDICTED_FRACTION"] == 1
    assert results["SECONDS"] > 0
    assert results["TARGET_DATE"] == TARGET_DAY
    (logged,) = run.feedback.commands
    assert logged == (
        f"stfusion fuse --method starfm --pair fine={inputs['INPUT']},coarse={inputs['COARSE']} "
        f"--target coarse={inputs['COARSE_TARGET']} --param window=31 "
        f"--param filter={other} --param spatial_importance=12.5 --overwrite -o {out}"
    )
    assert run.feedback.steps[-1] == 100
    assert run.feedback.steps == sorted(run.feedback.steps)
    fused = read(out)
    words = logged.split()
    assert np.array_equal(fused, command_line(tmp_path, *words[2:-3]))
    assert fused.shape == (3, 120, 120)


def test_the_result_has_names_scale_and_nodata_of_the_fine_image_and_beats_copying_it(run, inputs, scene, tmp_path):
    out = run("stfusion:starfm", dict(inputs, OUTPUT=str(tmp_path / "out.tif")))["OUTPUT"]
    dataset = gdal.Open(out)
    band = dataset.GetRasterBand(3)
    assert (band.GetDescription(), band.GetScale(), band.GetNoDataValue()) == ("NIR", 1e-4, -9999)
    truth = read(scene["truth"]).astype(float)
    error = np.sqrt(np.mean((read(out) - truth) ** 2))
    assert error < 0.7 * np.sqrt(np.mean((read(scene["fine"]) - truth) ** 2))


def test_a_temporary_output_is_a_real_file(run, inputs):
    results = run("stfusion:nearest_pair", dict(inputs, OUTPUT="TEMPORARY_OUTPUT", SUPPORT="TEMPORARY_OUTPUT"))
    for name, bands in (("OUTPUT", 3), ("SUPPORT", 5)):
        assert results[name].endswith(".tif")
        assert os.path.isabs(results[name])
        assert read(results[name]).shape == (bands, 120, 120)
    assert np.array_equal(read(results["OUTPUT"]), read(inputs["INPUT"]))


def test_masks_classes_and_bands_reach_the_library(run, inputs, scene, tmp_path):
    out = str(tmp_path / "out.tif")
    run("stfusion:nearest_pair", dict(inputs, OUTPUT=out, FINE_MASK=scene["mask"]))
    assert (read(out)[:, 20:40, 30:60] == -9999).all()
    assert (read(out)[:, 40:, :] != -9999).all()
    run("stfusion:nearest_pair", dict(inputs, OUTPUT=out, FINE_MASK=scene["mask"], MASK_DILATION=2))
    assert (read(out)[:, 18:42, 28:62] == -9999).all()
    run("stfusion:nearest_pair", dict(inputs, OUTPUT=out, FINE_BANDS="3;1"))
    assert np.array_equal(read(out), read(inputs["INPUT"])[[2, 0]])
    assert run.feedback.commands[0].count("--bands 3=3,1=1") == 1
    run("stfusion:starfm", dict(inputs, OUTPUT=out, CLASS_MAP=scene["classes"], WINDOW=15))
    arguments = ["--method", "starfm", "--param", "window=15", "--target", f"coarse={scene['target']}"]
    pair = f"fine={scene['fine']},coarse={scene['coarse']},classes={scene['classes']}"
    assert np.array_equal(read(out), command_line(tmp_path, *arguments, "--pair", pair))
    run("stfusion:obsum", dict(inputs, OUTPUT=out, CLASS_MAP=scene["classes"], OBJECT_MAP=scene["classes"]))
    arguments = ["--method", "obsum", "--overwrite", "--target", f"coarse={scene['target']}"]
    assert np.array_equal(read(out), command_line(tmp_path, *arguments, "--pair", f"{pair},objects={scene['classes']}"))


def test_further_pairs_come_from_the_dialog_or_a_table(run, inputs, scene, tmp_path):
    out = str(tmp_path / "out.tif")
    dates = {"DATE": "2020-06-18", "DATE_TARGET": "2020-06-26", "DATE_2": "2020-07-04"}
    pair = {"INPUT_2": scene["truth"], "COARSE_2": scene["target"]}
    run("stfusion:linear_in_time", dict(inputs, **dates, **pair, OUTPUT=out))
    middle = (read(scene["fine"]).astype(float) + read(scene["truth"])) / 2
    assert np.abs(read(out) - middle).max() <= 0.5
    table = tmp_path / "pairs.csv"
    table.write_text(f"role,date,path,mask,sensor\nfine,2020-07-04,{scene['truth']},,\ncoarse,2020-07-04,{scene['target']},,\n")
    run("stfusion:linear_in_time", dict(inputs, DATE=PAIR_DAY, DATE_TARGET="2020-186", SCENE_TABLE=str(table), OUTPUT=out))
    assert np.array_equal(read(out), read(scene["truth"]))


def test_options_of_the_job_and_of_the_format_are_used(run, inputs, tmp_path):
    out = str(tmp_path / "out.tif")
    more = {"FORMAT": "COG", "CREATION_OPTIONS": "COMPRESS=LZW", "MEMORY": "300MiB", "COARSE_RESAMPLING": "nearest"}
    run("stfusion:coarse_increment", dict(inputs, OUTPUT=out, **more))
    dataset = gdal.Open(out)
    assert dataset.GetMetadata("IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert dataset.GetMetadata("IMAGE_STRUCTURE")["COMPRESSION"] == "LZW"
    record = json.loads(Path(out + ".stf").read_text())
    assert record["grid"]["coarse_resampling"] == "nearest"


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"WINDOW": 5001}, "Window size must be between 1 and 301 fine pixels; got 5001"),
        ({"WINDOW": 50}, "Window size must be an odd whole number; got 50"),
        ({"UNCERTAINTY_FINE": "-1"}, 'Uncertainty of the fine images must be numbers of at least 0, or "auto"; got -1'),
        ({"FILTER": "gentle"}, "Filter must be one of loose, strict; got gentle"),
        ({"DATE": "2020-02-30"}, "Date of the pair (YYYY-MM-DD): '2020-02-30' is not a date; write it as YYYY-MM-DD"),
        ({"INPUT_2": "COARSE"}, "Pair 2 has no coarse image; give both images of the pair, or neither"),
        ({"MEMORY": "lots"}, "such as 4GiB"),
        ({"DEVICE": "gpu"}, "Device must be auto, cpu, cuda"),
        ({"COARSE": "/nowhere/c.tif"}, "Coarse image of the pair: /nowhere/c.tif"),
        ({"FINE_BANDS": "0"}, "Bands of the fine image must be numbers of bands, counted from 1; got 0"),
        ({"SCENE_TABLE": "/nowhere/scene.csv"}, "The scene table /nowhere/scene.csv cannot be read"),
    ],
)
def test_wrong_values_are_refused_before_the_run_in_words(run, inputs, parameters, sentence):
    parameters = {key: inputs.get(value, value) for key, value in parameters.items()}
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        run("stfusion:starfm", dict(inputs, OUTPUT="TEMPORARY_OUTPUT", **parameters))
    assert sentence in str(refused.value)
    assert "Incorrect parameter value" not in str(refused.value)


def test_an_error_of_the_run_has_the_library_s_words_and_remedy(run, inputs, tmp_path):
    out = tmp_path / "out.tif"
    with pytest.raises(QgsProcessingException) as failed:
        run("stfusion:starfm", dict(inputs, FINE_BANDS="1;9", COARSE_BANDS="1;2", OUTPUT=str(out)))
    assert "band 9" in str(failed.value)
    assert "\n" in str(failed.value)
    assert os.listdir(tmp_path) == []
    missing = tmp_path / "none" / "out.tif"
    with pytest.raises(QgsProcessingException, match="none"):
        run("stfusion:starfm", dict(inputs, OUTPUT=str(missing)))


@pytest.mark.parametrize("by", ["progress", "another thread"])
def test_a_cancelled_run_leaves_nothing(run, large, tmp_path, by):
    feedback = Feedback(cancel_at=10 if by == "progress" else None)
    if by == "another thread":
        timer = threading.Timer(1.0, feedback.cancel)
        timer.start()
    results = run("stfusion:starfm", dict(large, OUTPUT=str(tmp_path / "out.tif"), SUPPORT=str(tmp_path / "s.tif")), feedback)
    assert results == {}
    assert os.listdir(tmp_path) == []
    assert "Cancelled: nothing was written." in feedback.infos
    assert max(feedback.steps) < 95


def test_a_fault_in_the_feedback_stops_the_run_and_is_told(run, inputs, tmp_path):
    class Faulty(Feedback):
        def setProgressText(self, text):
            raise RuntimeError("no such widget")

    with pytest.raises(QgsProcessingException, match="no such widget"):
        run("stfusion:starfm", dict(inputs, OUTPUT=str(tmp_path / "out.tif")), Faulty())
    assert os.listdir(tmp_path) == []


def test_warnings_of_the_library_reach_the_log(run, inputs):
    run("stfusion:starfm", dict(inputs, DATE="2019-01-01", DATE_TARGET=TARGET_DAY, OUTPUT="TEMPORARY_OUTPUT"))
    assert any("550 days from the target date" in warning for warning in run.feedback.warnings), run.feedback.warnings


def test_progress_and_log_come_on_the_calling_thread(library, inputs, tmp_path):
    pair = {"fine": inputs["INPUT"], "coarse": inputs["COARSE"], "date": "2019-01-01"}
    target = {"coarse": inputs["COARSE_TARGET"], "date": TARGET_DAY}
    job = {"stfusion": 1, "method": "starfm", "pairs": [pair], "target": target, "threads": 2}
    job["output"] = {"path": str(tmp_path / "out.tif")}
    said = {"progress": [], "log": []}

    def keep(kind):
        return lambda number, message: said[kind].append((threading.get_ident(), message)) or True

    library.fuse(job, keep("progress"), keep("log"))
    assert any("550 days" in message for _, message in said["log"])
    assert {thread for kind in said.values() for thread, _ in kind} == {threading.get_ident()}


@pytest.fixture
def project():
    """An empty project, emptied again afterwards."""
    QgsProject.instance().clear()
    yield QgsProject.instance()
    QgsProject.instance().clear()


def load_results(context):
    """Load layers as Processing does when an algorithm is done; return them by title."""
    layers = {}
    for path, details in context.layersToLoadOnCompletion().items():
        layer = QgsRasterLayer(path, details.name)
        assert layer.isValid()
        if details.postProcessor():
            details.postProcessor().postProcessLayer(layer, context, Feedback())
        layers[details.name] = layer
    return layers


def styled(path):
    """A layer with bands 3, 2, 1 in red, green and blue and a stretch of its own."""
    layer = QgsRasterLayer(path, "fine")
    renderer = QgsMultiBandColorRenderer(layer.dataProvider(), 3, 2, 1)
    stretch = QgsContrastEnhancement(layer.dataProvider().dataType(3))
    stretch.setMinimumValue(0.111)
    stretch.setMaximumValue(0.444)
    stretch.setContrastEnhancementAlgorithm(QgsContrastEnhancement.ContrastEnhancementAlgorithm.StretchToMinimumMaximum)
    renderer.setRedContrastEnhancement(stretch)
    layer.setRenderer(renderer)
    return layer


def destination(project):
    return QgsProcessingOutputLayerDefinition("TEMPORARY_OUTPUT", project)


def test_results_load_with_the_fine_image_s_style_and_the_target_day(run, inputs, project):
    layer = styled(inputs["INPUT"])
    project.addMapLayer(layer)
    parameters = dict(inputs, INPUT=layer.id(), OUTPUT=destination(project), SUPPORT=destination(project))
    run("stfusion:starfm", parameters)
    layers = load_results(run.context)
    assert set(layers) == {f"STARFM {TARGET_DAY}", f"Support of STARFM {TARGET_DAY}"}
    prediction = layers[f"STARFM {TARGET_DAY}"]
    renderer = prediction.renderer()
    assert (renderer.redBand(), renderer.greenBand(), renderer.blueBand()) == (3, 2, 1)
    assert renderer.redContrastEnhancement().maximumValue() == 0.444
    assert prediction.bandName(3).endswith("NIR")
    for loaded in layers.values():
        properties = loaded.temporalProperties()
        span = properties.fixedTemporalRange()
        assert properties.isActive()
        assert span.begin().toString("yyyy-MM-dd hh:mm") == f"{TARGET_DAY} 00:00"
        assert span.end().toString("yyyy-MM-dd hh:mm") == f"{TARGET_DAY} 23:59"
    support = layers[f"Support of STARFM {TARGET_DAY}"].renderer()
    assert support.band() == 1
    shader = support.shader().rasterShaderFunction()
    assert shader.colorRampType() == QgsColorRampShader.Type.Discrete
    assert shader.colorRampItemList()[0].label == "similar pixels: none"


@pytest.mark.parametrize(("bands", "expected"), [("1;2;3", (3, 2, 1)), ("3;2;1", (1, 2, 3)), ("1;2", None)])
def test_the_style_follows_the_bands_that_were_predicted(run, inputs, project, bands, expected):
    layer = styled(inputs["INPUT"])
    project.addMapLayer(layer)
    run("stfusion:nearest_pair", dict(inputs, INPUT=layer.id(), OUTPUT=destination(project), FINE_BANDS=bands))
    (prediction,) = load_results(run.context).values()
    renderer = prediction.renderer()
    if expected is None:
        assert not set(renderer.usesBands()) - {1, 2}
    else:
        assert (renderer.redBand(), renderer.greenBand(), renderer.blueBand()) == expected


def test_an_empty_date_is_that_of_the_layer_s_temporal_range(run, inputs, project, tmp_path):
    from stfusion import compat

    layer = QgsRasterLayer(inputs["COARSE_TARGET"], "target")
    compat.set_day(layer, "2020-07-09")
    assert compat.day_of(layer) == "2020-07-09"
    project.addMapLayer(layer)
    results = run("stfusion:nearest_pair", dict(inputs, COARSE_TARGET=layer.id(), OUTPUT=str(tmp_path / "o.tif")))
    assert results["TARGET_DATE"] == "2020-07-09"


def test_a_layer_s_source_is_taken_without_options_of_qgis(run, inputs, project, tmp_path):
    layer = QgsRasterLayer(inputs["INPUT"] + "|option:NUM_THREADS=1", "fine")
    assert layer.isValid()
    project.addMapLayer(layer)
    run("stfusion:nearest_pair", dict(inputs, INPUT=layer.id(), OUTPUT=str(tmp_path / "o.tif")))
    assert np.array_equal(read(tmp_path / "o.tif"), read(inputs["INPUT"]))


def test_names_that_only_gdal_knows_are_passed_on(run, inputs, tmp_path):
    archive = tmp_path / "scene.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in inputs.values():
            file.write(path, Path(path).name)
    inside = {name: f"/vsizip/{archive}/{Path(path).name}" for name, path in inputs.items()}
    results = run("stfusion:nearest_pair", dict(inside, OUTPUT=str(tmp_path / "o.tif")))
    assert np.array_equal(read(tmp_path / "o.tif"), read(inputs["INPUT"]))
    assert results["TARGET_DATE"] == TARGET_DAY


def test_it_works_inside_a_model(provider, inputs, tmp_path):
    model = QgsProcessingModelAlgorithm("model")
    for name in ("FINE", "COARSE", "TARGET"):
        model.addModelParameter(QgsProcessingParameterRasterLayer(name, name), QgsProcessingModelParameter(name))
    model.addModelParameter(QgsProcessingParameterNumber("SIDE", "SIDE", defaultValue=21), QgsProcessingModelParameter("SIDE"))
    source = QgsProcessingModelChildParameterSource
    child = QgsProcessingModelChildAlgorithm("stfusion:starfm")
    child.setChildId("fuse")
    for parameter in provider.algorithm("starfm").parameterDefinitions():
        if parameter.defaultValue() is not None:
            child.addParameterSources(parameter.name(), [source.fromStaticValue(parameter.defaultValue())])
    for name, given in (("INPUT", "FINE"), ("COARSE", "COARSE"), ("COARSE_TARGET", "TARGET"), ("WINDOW", "SIDE")):
        child.addParameterSources(name, [source.fromModelParameter(given)])
    child.addParameterSources("CLASSES", [source.fromExpression("20 * 2")])
    model.addChildAlgorithm(child)
    assess = QgsProcessingModelChildAlgorithm("stfusion:assess")
    assess.setChildId("assess")
    assess.addParameterSources("INPUT", [source.fromChildOutput("fuse", "OUTPUT")])
    assess.addParameterSources("TRUTH", [source.fromModelParameter("TARGET_TRUTH")])
    model.addModelParameter(
        QgsProcessingParameterRasterLayer("TARGET_TRUTH", "truth"), QgsProcessingModelParameter("TARGET_TRUTH")
    )
    model.addChildAlgorithm(assess)
    output = QgsProcessingModelOutput("prediction")
    output.setChildId("fuse")
    output.setChildOutputName("OUTPUT")
    model.childAlgorithm("fuse").setModelOutputs({"prediction": output})
    model.initAlgorithm()
    good, problems = model.validate()
    assert good, problems
    context, feedback = QgsProcessingContext(), Feedback()
    out = tmp_path / "model.tif"
    truth = inputs["INPUT"].replace("fine_", "truth_").replace("0618", "0704")
    values = {"FINE": inputs["INPUT"], "COARSE": inputs["COARSE"], "TARGET": inputs["COARSE_TARGET"], "TARGET_TRUTH": truth}
    results, good = model.run(dict(values, **{"SIDE": 31, "fuse:prediction": str(out)}), context, feedback)
    assert good
    assert results["fuse:prediction"] == str(out)
    assert 0 < results["CHILD_RESULTS"]["assess"]["RMSE"] < 0.05
    arguments = ["--method", "starfm", "--param", "window=31", "--target", f"coarse={inputs['COARSE_TARGET']}"]
    pair = f"fine={inputs['INPUT']},coarse={inputs['COARSE']}"
    assert np.array_equal(read(out), command_line(tmp_path, *arguments, "--pair", pair))


def test_a_batch_of_runs_is_independent_of_its_order(run, inputs, tmp_path):
    sizes = (11, 31, 11)
    outs = [tmp_path / f"{number}.tif" for number in range(3)]
    for size, out in zip(sizes, outs):
        run("stfusion:starfm", dict(inputs, OUTPUT=str(out), WINDOW=size))
    first, second, third = (read(out) for out in outs)
    assert np.array_equal(first, third)
    assert not np.array_equal(first, second)
    algorithm = QgsApplication.processingRegistry().algorithmById("stfusion:starfm")
    assert algorithm.flags() & algorithm.Flag.FlagSupportsBatch
