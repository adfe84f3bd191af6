# SPDX-License-Identifier: MIT OR Apache-2.0
"""Jobs of files: the same result as arrays, and as the command line."""

import datetime
import json
import subprocess

import numpy as np
import pytest
from conftest import ROWS

import stfusion

same = np.testing.assert_array_equal


@pytest.fixture
def job(scene, files, with_files):
    """A job as a dict whose images are files of the scene."""
    return {
        "stfusion": 1,
        "method": "starfm",
        "parameters": {"window": np.int32(9)},
        "pairs": [
            {
                "date": datetime.date(2001, 5, 25),
                "fine": files.folder / "fine.img",
                "coarse": files.write("coarse.img", scene.coarse),
                "fine_mask": files.write("mask.img", cloud(scene)[np.newaxis].astype(np.uint8)),
            }
        ],
        "target": {"date": scene.target_date, "coarse": files.write("target.img", scene.target)},
        "output": {"path": str(files.folder / "out.tif"), "support": str(files.folder / "support.tif")},
    }


def cloud(scene):
    hole = np.zeros(scene.fine.shape[1:], bool)
    hole[5:12, 20:33] = True
    return hole


def test_arrays_files_and_command_line_agree_bit_for_bit(scene, files, job, with_files):
    files.write("fine.img", scene.fine)
    told = []
    report = stfusion.Job(job).run(progress=lambda fraction, message: told.append(fraction), threads=2)
    assert report["method"] == "starfm" and report["rows"] == ROWS
    assert told and told == sorted(told)
    by_files = files.read(job["output"]["path"], 3)
    pair = stfusion.Pair(scene.fine, scene.coarse, scene.date, fine_mask=cloud(scene))
    by_arrays, support = stfusion.fuse(pair, scene.target, scene.target_date, window=9, support=True)
    hole = np.isnan(by_arrays)
    same(hole, np.broadcast_to(cloud(scene), hole.shape))
    same(by_files[~hole], by_arrays[~hole])
    support_file = files.read(job["output"]["support"], 5)
    seen = ~np.isnan(support)
    same(support_file[seen], support[seen])

    program = with_files / "stfusion"
    if not program.exists():
        pytest.skip("the command line is not built")
    words = [program, "fuse", "--method", "starfm", "--param", "window=9"]
    images = job["pairs"][0]
    words += ["--pair", f"fine={images['fine']},coarse={images['coarse']},date=2001-05-25,fine_mask={images['fine_mask']}"]
    words += ["--target", f"coarse={job['target']['coarse']},date=2001-07-12", "-q", "-o", files.folder / "cli.tif"]
    subprocess.run(words, check=True)
    same(files.read(files.folder / "cli.tif", 3), by_files)


def test_a_job_is_a_dict_text_or_a_file(scene, files, job):
    files.write("fine.img", scene.fine)
    from_dict = stfusion.Job(job)
    assert from_dict.to_dict()["parameters"] == {"window": 9}
    assert from_dict.to_dict()["pairs"][0]["date"] == "2001-05-25"
    assert stfusion.Job(from_dict.to_json()).to_json() == from_dict.to_json()
    relative = json.loads(from_dict.to_json())
    relative["pairs"][0]["fine"] = "fine.img"
    path = files.folder / "job.stf"
    path.write_text(json.dumps(relative))
    assert stfusion.Job(path).to_dict() == from_dict.to_dict()
    assert repr(from_dict) == "<stfusion.Job starfm, 1 pairs>"


def test_inspection_looks_and_does_nothing(scene, files, job):
    files.write("fine.img", scene.fine)
    before = sorted(files.folder.iterdir())
    found = stfusion.Job(job).inspect()
    assert isinstance(found, dict) and found
    assert sorted(p for p in files.folder.iterdir() if not p.name.endswith(".aux.xml")) == before


def test_images_are_described(scene, files, with_files):
    text = json.dumps(stfusion.image_info(files.write("fine.img", scene.fine)))
    assert "52" in text and "40" in text
    with pytest.raises(stfusion.Error, match="none.tif") as caught:
        stfusion.image_info(files.folder / "none.tif")
    assert caught.value.status == 5


def test_malformed_jobs_are_refused_before_anything_is_opened(tmp_path):
    def refused(job):
        with pytest.raises(stfusion.Error) as caught:
            stfusion.Job(job)
        return caught.value

    base = {"stfusion": 1, "method": "starfm", "pairs": [], "target": {"coarse": "c.tif"}}
    assert "unknown field `colour`" in refused({**base, "colour": 1}).message
    assert refused({**base, "method": "magic"}).status == 2
    error = refused('{"stfusion": 1,\n oops}')
    assert error.status == 3 and "line 2" in error.message and error.hint
    path = tmp_path / "none.stf"
    error = refused(path)
    assert error.status == 5 and str(path) in error.message


def test_failures_name_the_file_and_leave_nothing(scene, files, job):
    with pytest.raises(stfusion.Error, match="fine.img") as caught:
        stfusion.Job(job).run()
    assert caught.value.status == 5 and caught.value.hint
    files.write("fine.img", scene.fine)
    with pytest.raises(stfusion.Cancelled):
        stfusion.Job(job).run(progress=lambda fraction, message: False)
    assert not list(files.folder.glob("out*"))
    stfusion.Job(job).run()
    with pytest.raises(stfusion.Error, match="out.tif") as caught:
        stfusion.Job(job).run()
    assert caught.value.status == 7


def test_warnings_of_a_run_are_logged(scene, files, job, caplog):
    files.write("fine.img", scene.fine)
    report = stfusion.Job(job).run()
    assert any("48 days" in warning for warning in report["warnings"])
    assert set(report["warnings"]) <= {record.getMessage() for record in caplog.records}


def test_an_assessment_has_scores_and_baselines(scene, files, with_files):
    truth = files.write("truth.img", scene.truth)
    scores = stfusion.assess(
        files.write("prediction.img", scene.truth + np.float32(0.01)),
        truth,
        fine=[(scene.date, files.write("fine.img", scene.fine))],
        coarse=[files.write("coarse.img", scene.coarse)],
        target=(scene.target_date, files.write("target.img", scene.target)),
    )
    text = json.dumps(scores)
    assert "nearest_pair" in text and "coarse_increment" in text

    def numbers(value, key):
        if isinstance(value, dict):
            for name, item in value.items():
                if name == key and isinstance(item, (int, float)):
                    yield item
                yield from numbers(item, key)
        elif isinstance(value, list):
            for item in value:
                yield from numbers(item, key)

    assert min(abs(rmse - 0.01) for rmse in numbers(scores, "rmse")) < 1e-6


def test_methods_are_compared_on_the_pairs_of_a_job(scene, files, job, with_files):
    files.write("fine.img", scene.fine)
    pairs = [
        job["pairs"][0],
        {"date": scene.target_date, "fine": files.write("truth.img", scene.truth), "coarse": job["target"]["coarse"]},
    ]
    two = stfusion.Job({**job, "pairs": pairs})
    report, table = files.folder / "report.html", files.folder / "table.csv"
    told = []
    found = two.compare(
        ["starfm:window=9", {"method": "starfm", "parameters": {"window": np.int64(5)}}],
        report=report,
        csv=table,
        progress=lambda fraction, message: told.append(fraction),
    )
    names = {method["name"] for method in found["methods"]}
    assert names == {"starfm:window=9", "starfm:window=5", "nearest_pair", "linear_in_time", "coarse_increment"}
    # what is held back is predicted from the other day: the nearest pair is the other fine image
    hole = cloud(scene)
    expected = np.sqrt(np.mean((scene.fine - scene.truth).astype(float)[:, ~hole] ** 2))
    nearest = next(m for m in found["methods"] if m["name"] == "nearest_pair")
    assert nearest["scores"]["overall"]["rmse"] == pytest.approx(expected, rel=1e-6)
    assert [fold["label"] for fold in found["folds"]] == ["2001-05-25", "2001-07-12"]
    assert found["recommendation"].startswith("On your 2 pairs, ")
    assert told == sorted(told) and told[-1] == 1
    assert report.read_text().startswith("<!DOCTYPE html>") and len(table.read_text().splitlines()) == 1 + 5 * 3 * 4
    with pytest.raises(stfusion.Error, match="report.html") as caught:
        two.compare(["starfm"], report=report)
    assert caught.value.status == 7
    with pytest.raises(stfusion.Cancelled):
        two.compare(["starfm"], progress=lambda fraction, message: False)
    with pytest.raises(stfusion.Error, match="1 pair") as caught:
        stfusion.Job(job).compare()
    assert caught.value.status == 4 and "Add pairs" in caught.value.hint
