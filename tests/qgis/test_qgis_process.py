# SPDX-License-Identifier: GPL-2.0-or-later
"""The plugin in the real qgis_process, with a profile of its own."""

import os

import numpy as np
from scene import TARGET_DAY, read


def arguments(inputs, **more):
    return [f"{key}={value}" for key, value in dict(inputs, **more).items()]


def test_algorithms_are_listed_and_described(process):
    listed = process("list")
    for line in (
        "stfusion:starfm\tFuse: STARFM",
        "stfusion:assess\tAssess prediction",
        "stfusion:installation\tCheck installation",
    ):
        assert line in listed
    described = process("help", "stfusion:starfm")
    assert "WINDOW: Window size (fine pixels)" in described
    assert "Side of the square in which similar pixels are searched." in described


def test_it_runs_to_a_file_and_to_a_temporary_file(process, inputs, tmp_path):
    out = tmp_path / "out.tif"
    printed = process("run", "--json", "stfusion:starfm", "--", *arguments(inputs, WINDOW=21, OUTPUT=out))
    assert printed["results"]["OUTPUT"] == str(out)
    assert printed["results"]["TARGET_DATE"] == TARGET_DAY
    assert float(printed["results"]["PREDICTED_FRACTION"]) == 1
    text = process("run", "stfusion:starfm", "--", *arguments(inputs, WINDOW=21, OUTPUT="TEMPORARY_OUTPUT"))
    assert "stfusion fuse --method starfm --pair fine=" in text
    assert "100 - done." in text
    path = [line.split("\t")[1] for line in text.splitlines() if line.startswith("OUTPUT:\t")][-1]
    assert os.path.isabs(path)
    assert path.endswith(".tif")
    assert read(out).shape == (3, 120, 120)
    assert np.isin(read(out), -9999).sum() == 0


def test_wrong_values_and_a_missing_library_are_told_in_words(process, inputs, tmp_path):
    out = tmp_path / "out.tif"
    text = process("run", "stfusion:starfm", "--", *arguments(inputs, WINDOW=500, OUTPUT=out), fails=True)
    assert "Window size must be between 1 and 301 fine pixels; got 500" in text
    text = process("run", "stfusion:starfm", "--", *arguments(inputs, OUTPUT=out), library="/nowhere/libstfusion.so", fails=True)
    assert "The stfusion library was not found: /nowhere/libstfusion.so, given by the STFUSION_LIBRARY, does not exist" in text
    assert not out.exists()
    listed = process("list", library="/nowhere/libstfusion.so")
    assert "stfusion:starfm\tFuse: STARFM" in listed
    text = process("run", "stfusion:installation", library="/nowhere/libstfusion.so")
    assert "problem: The stfusion library was not found" in text
    assert "USABLE:\tfalse" in text


def test_a_run_that_is_terminated_leaves_no_file_under_the_final_name(process, large, tmp_path):
    out = tmp_path / "out.tif"
    printed = process("run", "stfusion:starfm", "--", *arguments(large, OUTPUT=out), stop_at="Fusing")
    assert "Results" not in printed
    assert not out.exists()
