# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks in Processing: a weights file as a parameter, and what it is."""

import sys
from pathlib import Path

import numpy as np
import pytest
from qgis.core import QgsApplication, QgsProcessingException, QgsProcessingParameterDefinition
from scene import read

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from weights import write_weights  # noqa: E402


@pytest.fixture
def weights(tmp_path):
    training = {"data_set": "fields", "notes": "nothing was learned"}
    return write_weights(tmp_path / "w.safetensors", 3, bands=["green", "red", "nir"], licence="CC0-1.0", training=training)


def test_a_network_runs_with_a_weights_file(run, inputs, weights, tmp_path):
    out = tmp_path / "out.tif"
    run("stfusion:edcstfn", dict(inputs, WEIGHTS=weights, OUTPUT=str(out)))
    assert np.all(read(out) == 3000)
    assert any("licence of the weights: CC0-1.0" in line for line in run.feedback.infos)


def test_the_weights_are_asked_for(run, inputs, tmp_path):
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("stfusion:edcstfn")
    weights = algorithm.parameterDefinition("WEIGHTS")
    assert not weights.flags() & QgsProcessingParameterDefinition.FlagOptional
    assert "safetensors" in weights.fileFilter()
    with pytest.raises(ValueError, match="WEIGHTS"):
        run("stfusion:edcstfn", dict(inputs, OUTPUT=str(tmp_path / "out.tif")))


def test_weights_are_inspected(run, weights, tmp_path):
    results = run("stfusion:weights", {"WEIGHTS": weights})
    assert (results["NETWORK"], results["LICENCE"]) == ("edcstfn", "CC0-1.0")
    for line in ("EDCSTFN (edcstfn)", "green, red, nir", "fields; nothing was learned", "CC0-1.0"):
        assert line in results["REPORT"]
    assert run.feedback.warnings == []
    terms = write_weights(tmp_path / "terms.safetensors", 3)
    run("stfusion:weights", {"WEIGHTS": terms})
    problem = "It does not say under which licence it may be used."
    assert run.feedback.warnings == [problem]
    assert not any(problem in line for line in run.feedback.infos)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(Path(weights).read_bytes()[:1000])
    with pytest.raises(QgsProcessingException, match="broken.safetensors"):
        run("stfusion:weights", {"WEIGHTS": str(broken)})
