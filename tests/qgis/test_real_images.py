# SPDX-License-Identifier: GPL-2.0-or-later
"""Real images through qgis_process: the same pixels as the command line gives, and a better image than copying the pair."""

import subprocess

import numpy as np
import pytest
from conftest import COMMAND, DATA
from scene import read

CASES = {
    "03_lgc_flood": ("fine_2004-11-26", "coarse_2004-11-26", "coarse_2004-12-28", "fine_2004-12-28"),
    "16_cia_fsdaf2016_window_50m": (
        "fine_2001-11-25",
        "coarse_sim500m_2001-11-25",
        "coarse_sim500m_2002-01-12",
        "fine_2002-01-12",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_qgis_process_and_command_line_agree(case, process, tmp_path, capfd):
    folder = DATA / case
    if not folder.is_dir():
        with capfd.disabled():
            print(f"SKIP qgis {case}: ../shared/data is not there")
        return
    fine, coarse, target, truth = (str(folder / f"{name}.tif") for name in CASES[case])
    out, direct = tmp_path / "out.tif", tmp_path / "direct.tif"
    arguments = [f"INPUT={fine}", f"COARSE={coarse}", f"COARSE_TARGET={target}", f"OUTPUT={out}"]
    text = process("run", "stfusion:starfm", "--", *arguments)
    assert f"TARGET_DATE:\t{target[-14:-4]}" in text
    pair = f"fine={fine},coarse={coarse}"
    subprocess.run(
        [COMMAND, "fuse", "-q", "-m", "starfm", "--pair", pair, "--target", f"coarse={target}", "-o", str(direct)], check=True
    )
    assert np.array_equal(read(out), read(direct))
    errors = [np.sqrt(np.mean((read(image).astype(float) - read(truth)) ** 2, axis=(1, 2))) for image in (out, fine)]
    assert (errors[0] < errors[1]).all(), errors
