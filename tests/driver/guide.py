# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs the examples of a guide: every shell block as it stands, in a copy of the scene, and every Python block. Prints TAP."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def main():
    guide, scene, stfusion = sys.argv[1:]
    text = Path(guide).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(sh|python)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    environment = dict(os.environ, PATH=f"{Path(stfusion).parent}:{os.environ['PATH']}")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "scene"
        shutil.copytree(scene, place)
        for unwanted in (
            *place.glob("*.aux.xml"),
            *place.glob("*.ovr"),
            place / "plain.stf",
            place / "fused.tif",
            place / "fused.tif.stf",
        ):
            unwanted.unlink(missing_ok=True)
        for number, (language, code) in enumerate(blocks, start=1):
            command = ["bash", "-euo", "pipefail", "-c", code] if language == "sh" else ["/usr/bin/python3", "-c", code]
            done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
            first = code.strip().splitlines()[0]
            print(f"{'ok' if done.returncode == 0 else 'not ok'} - example {number}: {first}")
            if done.returncode != 0:
                print("# " + (done.stdout + done.stderr).strip().replace("\n", "\n# "))


main()
