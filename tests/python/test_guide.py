# SPDX-License-Identifier: MIT OR Apache-2.0
"""The code of docs/python.md and of the README runs, and does what they say."""

import json
import re

import dask
import dask.array
import numpy as np
import pytest
from conftest import ROOT
from test_xr import data_array

import stfusion

same = np.testing.assert_array_equal


def code_of(file, heading):
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", (ROOT / file).read_text(), flags=re.S | re.M)[1]
    return "\n".join(re.findall(r"^```python\n(.*?)^```", section, flags=re.S | re.M))


def run(code, **names):
    assert code
    exec(compile(code, "docs/python.md", "exec"), names)
    return names


@pytest.fixture
def arrays(scene):
    cloud = np.zeros(scene.fine.shape[1:], bool)
    cloud[:5] = True
    return {"fine": scene.fine, "coarse": scene.coarse, "coarse_target": scene.target, "cloud": cloud}


def test_arrays(arrays):
    names = run(code_of("docs/python.md", "Arrays"), **arrays)
    same(np.isnan(names["prediction"]), np.broadcast_to(arrays["cloud"], arrays["fine"].shape))
    assert names["support"].shape[0] == 5
    readme = run(code_of("README.md", "Python"), **arrays)
    assert np.isfinite(readme["prediction"]).all()


def test_progress(arrays, scene):
    class Bar:
        def update(self, fraction):
            assert 0 <= fraction <= 1

    names = run(code_of("docs/python.md", "Progress, stopping, errors, log"), bar=Bar(), stop_was_pressed=False)
    assert names["progress"](0.5, "Fusing") is True
    assert np.isfinite(scene.fuse(progress=names["progress"])).all()


def test_files(scene, files, with_files, monkeypatch, capsys):
    monkeypatch.chdir(files.folder)
    for name, image in (("fine.tif", scene.fine), ("coarse.tif", scene.coarse), ("target.tif", scene.target)):
        files.write(name, image)
    files.write("truth.tif", scene.truth)
    job = {
        "stfusion": 1,
        "method": "starfm",
        "parameters": {"window": 9},
        "pairs": [{"date": scene.date, "fine": "fine.tif", "coarse": "coarse.tif"}],
        "target": {"date": scene.target_date, "coarse": "target.tif"},
        "output": {"path": "out.tif"},
    }
    (files.folder / "job.stf").write_text(json.dumps(job))
    names = run(code_of("docs/python.md", "Files"), stfusion=stfusion, progress=None)
    assert "48 days" in capsys.readouterr().out
    assert (files.folder / "out.tif").exists()
    assert (files.folder / "out.tif.stf").exists()
    assert names["report"]["method"] == "starfm"
    assert "nearest_pair" in json.dumps(names["scores"])


def test_compare_methods(scene, files, with_files, monkeypatch, capsys):
    monkeypatch.chdir(files.folder)
    days = ((scene.date, scene.fine, scene.coarse), (scene.target_date, scene.truth, scene.target))
    pairs = [
        {"date": day, "fine": files.write(f"f{day}.tif", fine), "coarse": files.write(f"c{day}.tif", coarse)}
        for day, fine, coarse in days
    ]
    (files.folder / "pairs.stf").write_text(json.dumps({"stfusion": 1, "method": "starfm", "pairs": pairs}))
    names = run(code_of("docs/python.md", "Compare methods"), stfusion=stfusion)
    assert capsys.readouterr().out.startswith("On your 2 pairs, ")
    assert {"starfm", "starfm:window=31"} < {m["name"] for m in names["found"]["methods"]}
    assert (files.folder / "comparison.html").exists()


def test_xarray(arrays, scene):
    names = run(
        code_of("docs/python.md", "xarray"),
        stfusion=stfusion,
        fine=data_array(scene.fine, scene.date),
        coarse=data_array(scene.coarse, scene.date),
        coarse_target=data_array(scene.target, scene.target_date),
    )
    assert names["prediction"].time.values == np.datetime64(scene.target_date)
    assert names["support"].sizes["band"] == 5


def test_dask(scene):
    images = {"2001-07-01": scene.target, "2001-07-09": scene.coarse}
    names = run(code_of("docs/python.md", "dask"), stfusion=stfusion, dask=dask, pair=scene.pair, coarse_images=images)
    same(names["series"].compute()[0], stfusion.fuse(scene.pair, scene.target, "2001-07-01"))
