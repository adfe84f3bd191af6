# SPDX-License-Identifier: MIT OR Apache-2.0
"""Networks run once on arrays."""

import sys
from pathlib import Path

import numpy as np
import pytest

import stfusion

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from weights import write_weights


@pytest.fixture
def weights(tmp_path):
    return write_weights(tmp_path / "w.safetensors", 3, value=0.3)


def images():
    """Return images of three bands for EDCSTFN, by the names of its inputs; of any kind of number."""
    fine = np.arange(3 * 8 * 10, dtype=np.float64).reshape(1, 3, 8, 10)
    return {"coarse_t1": fine[..., ::-1], "fine_t1": fine, "coarse_t2": fine.astype(np.int16)}


def test_a_network_runs_on_arrays(weights):
    results = stfusion.infer(weights, **images())
    assert list(results) == ["fine_t2"]
    assert results["fine_t2"].dtype == np.float32 and results["fine_t2"].shape == (1, 3, 8, 10)
    np.testing.assert_allclose(results["fine_t2"], 0.3, rtol=1e-6)


def test_weights_may_be_contents_of_a_file(weights):
    contents = Path(weights).read_bytes()
    np.testing.assert_array_equal(stfusion.infer(contents, **images())["fine_t2"], stfusion.infer(weights, **images())["fine_t2"])
    with pytest.raises(stfusion.Error, match="in memory"):
        stfusion.infer(contents[:100], **images())


def test_what_does_not_fit_is_said(weights):
    given = images()
    del given["fine_t1"]
    with pytest.raises(stfusion.Error, match="fine_t1"):
        stfusion.infer(weights, **given)
    with pytest.raises(stfusion.Error, match="is for nothing, which is not known"):
        stfusion.infer(weights, network="nothing", **images())
    with pytest.raises(stfusion.Error, match="none.safetensors"):
        stfusion.infer("none.safetensors", **images())
