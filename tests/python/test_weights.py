# SPDX-License-Identifier: MIT OR Apache-2.0
"""Networks: a weights file as a parameter, and what it is."""

import sys
from pathlib import Path

import numpy as np
import pytest

import stfusion

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from weights import write_weights


def test_a_network_runs_with_a_weights_file(scene, tmp_path):
    weights = write_weights(tmp_path / "w.safetensors", 3)
    prediction = scene.fuse("edcstfn", weights=weights)
    np.testing.assert_allclose(np.asarray(prediction), 0.3, rtol=1e-6)
    gap = scene.fine.copy()
    gap[:, 3, 4] = np.nan
    pair = stfusion.Pair(gap, scene.coarse, scene.date)
    prediction = np.asarray(stfusion.fuse(pair, scene.target, scene.target_date, "edcstfn", weights=weights))
    assert np.isnan(prediction[:, 3, 4]).all() and np.isfinite(prediction).sum() == prediction.size - 3


def test_what_is_wrong_with_weights_is_said(scene, tmp_path):
    with pytest.raises(stfusion.Error, match="EDCSTFN needs weights"):
        scene.fuse("edcstfn")
    other = write_weights(tmp_path / "other.safetensors", 4)
    with pytest.raises(stfusion.Error, match="other.safetensors with images of 3 bands"):
        scene.fuse("edcstfn", weights=other)


def test_weights_are_described(tmp_path):
    name = write_weights(tmp_path / "w.safetensors", 3, licence="CC0-1.0")
    found = stfusion.weights_info(name)
    assert (found["network"], found["description"]["licence"], found["problems"]) == ("edcstfn", "CC0-1.0", [])
    assert "EDCSTFN (edcstfn)" in found["text"]
    with pytest.raises(stfusion.Error, match="none.safetensors") as caught:
        stfusion.weights_info(tmp_path / "none.safetensors")
    assert caught.value.status == 5
