# SPDX-License-Identifier: GPL-2.0-or-later
"""From the values of a dialog to the job and to the command line."""

import pytest
from stfusion.dates import iso_date
from stfusion.jobs import BadJob, assess_command, assess_request, fuse_command, fuse_job, scene_pairs

METHOD = {"id": "starfm"}
VALUES = {"INPUT": "f1.tif", "COARSE": "c1.tif", "COARSE_TARGET": "c2.tif", "OUTPUT": "out.tif"}
HEADER = "role,date,path,mask,sensor\n"


def test_the_least_job_has_nothing_but_images_and_output():
    assert fuse_job(METHOD, VALUES) == {
        "stfusion": 1,
        "method": "starfm",
        "pairs": [{"fine": "f1.tif", "coarse": "c1.tif"}],
        "target": {"coarse": "c2.tif"},
        "output": {"path": "out.tif", "overwrite": True},
    }


def test_everything_a_dialog_offers_has_its_place_in_the_job():
    values = dict(
        VALUES,
        DATE="2001-11-25",
        DATE_TARGET="2002-01-12",
        INPUT_2="f3.tif",
        COARSE_2="c3.tif",
        DATE_2="2002-02-13",
        FINE_MASK="qa.tif",
        FINE_MASK_PRESET="landsat_c2",
        COARSE_MASK="cm.tif",
        COARSE_MASK_PRESET="nonzero",
        COARSE_MASK_TARGET="ct.tif",
        FINE_MASK_2="qa3.tif",
        CLASS_MAP="classes.tif",
        OBJECT_MAP="objects.tif",
        OBJECT_MAP_2="objects3.tif",
        PAN="pan.tif",
        FINE_BANDS=[1, 2],
        COARSE_BANDS=[3, 4],
        CREATION_OPTIONS="COMPRESS=ZSTD|NUM_THREADS=2",
        SUPPORT="support.tif",
        PARAMETERS={"window": 31},
        OPTIONS={"coarse_resampling": "cubic", "ignore_units": True, "format": "COG", "threads": 2, "memory": "2GiB"},
    )
    assert fuse_job(METHOD, values) == {
        "stfusion": 1,
        "method": "starfm",
        "pairs": [
            {
                "date": "2001-11-25",
                "fine": "f1.tif",
                "coarse": "c1.tif",
                "classes": "classes.tif",
                "objects": "objects.tif",
                "pan": "pan.tif",
                "fine_mask": {"path": "qa.tif", "preset": "landsat_c2"},
                "coarse_mask": "cm.tif",
            },
            {
                "date": "2002-02-13",
                "fine": "f3.tif",
                "coarse": "c3.tif",
                "objects": "objects3.tif",
                "fine_mask": {"path": "qa3.tif", "preset": "landsat_c2"},
            },
        ],
        "target": {"date": "2002-01-12", "coarse": "c2.tif", "coarse_mask": "ct.tif"},
        "parameters": {"window": 31},
        "grid": {"coarse_resampling": "cubic", "ignore_units": True, "bands": [[1, 3], [2, 4]]},
        "output": {
            "path": "out.tif",
            "overwrite": True,
            "format": "COG",
            "support": "support.tif",
            "creation_options": ["COMPRESS=ZSTD", "NUM_THREADS=2"],
        },
        "threads": 2,
        "memory": "2GiB",
    }


def test_the_command_line_is_quoted_for_a_shell():
    values = dict(VALUES, INPUT="my image's.tif", DATE="2001-11-25", PARAMETERS={"window": 31, "bands": [1, 2], "x": True})
    values.update(FINE_MASK="qa.tif", FINE_MASK_PRESET="landsat_c2", FINE_BANDS=[2, 1], OPTIONS={"coarse_resampling": "cubic"})
    assert fuse_command(fuse_job(METHOD, values)) == [
        "stfusion fuse --method starfm "
        "--pair 'fine=my image'\"'\"'s.tif,coarse=c1.tif,date=2001-11-25,fine_mask=qa.tif,fine_mask_preset=landsat_c2' "
        "--target coarse=c2.tif --param window=31 --param 'bands=1 2' --param x=true --resampling cubic --bands 2=2,1=1 "
        "--overwrite -o out.tif"
    ]


@pytest.mark.parametrize("more", [{"INPUT": "a,b.tif"}, {"FINE_MASK": "m.tif", "MASK_DILATION": 3}])
def test_what_no_flag_says_becomes_a_job_file(more):
    lines = fuse_command(fuse_job(METHOD, dict(VALUES, **more)))
    assert lines[0] == "stfusion fuse job.stf"
    assert lines[2] == "{"
    assert lines[-1] == "}"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"INPUT_2": "f.tif"}, "Pair 2 has no coarse image; give both images of the pair, or neither"),
        ({"COARSE_2": "c.tif"}, "Pair 2 has no fine image; give both images of the pair, or neither"),
        ({"FINE_BANDS": [1, 2], "COARSE_BANDS": [1]}, "must be as many, in the same order; got 2 and 1"),
    ],
)
def test_incomplete_values_are_refused_in_words(more, sentence):
    with pytest.raises(BadJob) as refused:
        fuse_job(METHOD, dict(VALUES, **more))
    assert sentence in str(refused.value)


def test_a_scene_table_pairs_images_by_date(tmp_path):
    table = tmp_path / "scene.csv"
    table.write_text(
        HEADER + "fine,2001-12-31,f2.tif,,\ncoarse,2001-365,/data/c2.tif,,\n"
        "coarse,20011125,NETCDF:c1.nc:b,,\nfine,2001-11-25,sub/f1.tif,qa.tif,landsat_c2\n"
    )
    assert scene_pairs(str(table)) == [
        {
            "date": "2001-11-25",
            "fine": str(tmp_path / "sub/f1.tif"),
            "fine_mask": {"path": str(tmp_path / "qa.tif"), "preset": "landsat_c2"},
            "coarse": "NETCDF:c1.nc:b",
        },
        {"date": "2001-12-31", "fine": str(tmp_path / "f2.tif"), "coarse": "/data/c2.tif"},
    ]
    semicolons = tmp_path / "scene2.csv"
    semicolons.write_text(table.read_text().replace(",", ";"), encoding="utf-8-sig")
    assert len(scene_pairs(str(semicolons))) == 2


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("sharp,2001-11-25,f.tif,,\n", "line 2: role must be fine or coarse; got 'sharp'"),
        ("fine,2001-02-30,f.tif,,\n", "line 2: '2001-02-30' is not a date; write it as YYYY-MM-DD"),
        ("fine,,f.tif,,\n", "line 2: date is empty; every image needs one"),
        ("fine,2001-11-25,,,\n", "line 2: path is empty; every image needs one"),
        ("fine,2001-11-25,f.tif,,\nfine,2001-329,g.tif,,\n", "line 3: a second fine image of 2001-11-25"),
        ("fine,2001-11-25,f.tif,,\n", "has no coarse image of 2001-11-25; add it"),
    ],
)
def test_a_wrong_scene_table_is_refused_with_the_line(tmp_path, rows, sentence):
    table = tmp_path / "scene.csv"
    table.write_text(HEADER + rows)
    with pytest.raises(BadJob) as refused:
        scene_pairs(str(table))
    assert str(table) in str(refused.value)
    assert sentence in str(refused.value)


def test_a_scene_table_without_its_columns_is_refused(tmp_path):
    table = tmp_path / "scene.csv"
    table.write_text("kind,date,path\nfine,2001-11-25,f.tif\n")
    with pytest.raises(BadJob, match="has no column role; its first line must be role,date,path,mask,sensor"):
        scene_pairs(str(table))
    with pytest.raises(BadJob, match="cannot be read"):
        scene_pairs(str(tmp_path / "none.csv"))


def test_dates_of_qt_python_and_text_agree():
    import datetime

    from qgis.PyQt.QtCore import QDate, QDateTime, QTime

    day = QDate(2020, 7, 4)
    values = ["2020-07-04", "20200704", "2020-186", "2020186", "2020-07-04T10:20:30Z", " 2020-07-04 10:20 ", day]
    values += [QDateTime(day, QTime(5, 0)), datetime.date(2020, 7, 4), datetime.datetime(2020, 7, 4, 5)]
    assert {iso_date(value) for value in values} == {"2020-07-04"}
    assert {iso_date(value) for value in (None, "", "  ", QDate(), QDateTime())} == {None}
    for text in ("2001-02-29", "2020-13-01", "2020-000", "2021-366", "yesterday", "7"):
        with pytest.raises(ValueError, match="is not a date; write it as YYYY-MM-DD"):
            iso_date(text)


def test_an_assessment_asks_for_baselines_only_with_their_images():
    values = {"INPUT": "p.tif", "TRUTH": "t.tif"}
    assert assess_request(values) == {"prediction": "p.tif", "truth": "t.tif"}
    values.update(
        FINE="f.tif", COARSE="c.tif", COARSE_TARGET="c2.tif", DATE="2020-06-18", DATE_TARGET="2020-07-04", DATA_RANGE=1.0
    )
    request = assess_request(values)
    assert request["fine"] == [{"date": "2020-06-18", "image": "f.tif"}]
    assert request["coarse"] == ["c.tif"]
    assert request["target"] == {"date": "2020-07-04", "image": "c2.tif"}
    assert assess_command(request) == (
        "stfusion assess p.tif t.tif --fine f.tif --coarse-pair c.tif --pair-date 2020-06-18 --coarse-target c2.tif "
        "--target-date 2020-07-04 --data-range 1.0"
    )
    with pytest.raises(BadJob, match="The coarse image of the target date is missing"):
        assess_request(dict(values, COARSE_TARGET=None))
    with pytest.raises(BadJob, match="Pair 2 has a coarse image but no fine image"):
        assess_request(dict(values, COARSE_2="x.tif"))


def test_masks_of_an_assessment_belong_to_their_images():
    values = {"INPUT": "p.tif", "TRUTH": "t.tif", "FINE": "f.tif", "FINE_2": "g.tif", "FINE_MASK_2": "gm.tif"}
    values.update(TRUTH_MASK="tm.tif", TRUTH_MASK_PRESET="s2_scl", FINE_MASK_PRESET="landsat_c2")
    request = assess_request(values)
    assert request["truth_mask"] == {"path": "tm.tif", "preset": "s2_scl"}
    assert request["fine"] == [{"image": "f.tif"}, {"image": "g.tif", "mask": {"path": "gm.tif", "preset": "landsat_c2"}}]
    assert assess_command(request) is None
    assert assess_command(assess_request(dict(values, FINE_MASK="fm.tif"))) == (
        "stfusion assess p.tif t.tif --truth-mask tm.tif --truth-mask-preset s2_scl --fine f.tif --fine g.tif "
        "--fine-mask fm.tif --fine-mask gm.tif --fine-mask-preset landsat_c2"
    )
    with pytest.raises(BadJob, match="Pair 2 has a mask but no fine image"):
        assess_request(dict(values, FINE_2=None))
