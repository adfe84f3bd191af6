# SPDX-License-Identifier: MIT OR Apache-2.0
"""The wheel, with and without the library inside."""

import shutil
import subprocess
import sys
import zipfile

import pytest
from conftest import ROOT


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    shutil.copytree(ROOT / "python", folder, ignore=shutil.ignore_patterns("__pycache__", "lib", "build", "*.egg-info"))
    return folder


def wheel(source, *options):
    words = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", *options]
    subprocess.run([*words, "-w", source.parent, source], check=True)
    (file,) = source.parent.glob("*.whl")
    return file.name, set(zipfile.ZipFile(file).namelist())


def test_the_plain_wheel_is_pure_python(source):
    name, files = wheel(source)
    assert name == "stfusion-0.1.0-py3-none-any.whl"
    modules = {f"stfusion/{path.name}" for path in (ROOT / "python/stfusion").glob("*.py")}
    assert modules | {"stfusion/py.typed"} == {file for file in files if file.startswith("stfusion/")}
    assert {"stfusion-0.1.0.dist-info/licenses/LICENSE-MIT", "stfusion-0.1.0.dist-info/licenses/LICENSE-APACHE"} <= files


def test_a_platform_wheel_carries_the_library(source):
    (source / "stfusion/lib").mkdir()
    (source / "stfusion/lib/libstfusion.so.0").write_bytes(b"library")
    name, files = wheel(source, "--config-settings=--build-option=--plat-name=linux_x86_64")
    assert name == "stfusion-0.1.0-py3-none-linux_x86_64.whl"
    assert "stfusion/lib/libstfusion.so.0" in files
