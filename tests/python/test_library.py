# SPDX-License-Identifier: MIT OR Apache-2.0
"""Searching the library: found, or told why not."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

import stfusion
from stfusion import _abi, _library


@pytest.fixture(autouse=True)
def restored():
    yield
    _library._loaded = None


def refused(path):
    with pytest.raises(stfusion.LibraryUnusable) as caught:
        stfusion.load_library(path)
    return caught.value.kind, str(caught.value)


def test_a_file_and_its_folder_are_the_same_library(tmp_path):
    file = tmp_path / _abi.file_names()[0]
    shutil.copy(os.environ["STFUSION_LIBRARY"], file)
    assert stfusion.load_library(file).path == str(file)
    assert stfusion.load_library(tmp_path).path == str(file)
    assert stfusion.installation()["path"] == str(file)


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    kind, text = refused(tmp_path / "none.so")
    assert kind == "not found"
    assert f"{tmp_path}/none.so, given by load_library, does not exist" in text
    monkeypatch.setenv("STFUSION_LIBRARY", str(tmp_path))
    kind, text = refused(None)
    assert kind == "not found"
    assert "given by STFUSION_LIBRARY, is a folder without the library; correct or remove it" in text
    monkeypatch.delenv("STFUSION_LIBRARY")
    monkeypatch.setattr(_abi, "open_on_system_path", lambda: None)
    kind, text = refused(None)
    assert kind == "not found"
    assert "install it, or give its path in the environment variable STFUSION_LIBRARY" in text


def test_a_text_file_is_not_a_library(tmp_path):
    file = tmp_path / "libstfusion.so.0"
    file.write_text("not a library")
    kind, text = refused(file)
    assert kind == "not a library"
    assert f"{file} is not a shared library of this system" in text


def test_another_processor_is_named(tmp_path):
    file = tmp_path / "libstfusion.so.0"
    head = bytearray(open(os.environ["STFUSION_LIBRARY"], "rb").read(4096))
    other = 183 if _abi.architecture() == "x86_64" else 62
    head[18:20] = other.to_bytes(2, "little")
    file.write_bytes(head)
    kind, text = refused(file)
    assert kind == "wrong architecture"
    assert f"was built for {_abi._ELF_MACHINES[other]}, but this program runs on {_abi.architecture()}" in text


def test_a_library_cut_off_by_a_broken_copy_is_reported(tmp_path):
    file = tmp_path / "libstfusion.so.0"
    whole = open(os.environ["STFUSION_LIBRARY"], "rb").read()
    for size in (4096, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        kind, text = refused(file)
        assert kind == "not loadable"
        assert f"{file} is incomplete ({size} bytes): install or copy it again." in text


def compiled(folder, code):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    (folder / "other.c").write_text(code)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "other.so", folder / "other.c"], check=True)
    return folder / "other.so"


def test_another_library_is_told_from_another_abi(tmp_path):
    kind, text = refused(compiled(tmp_path, "int zero(void) { return 0; }"))
    assert kind == "not stfusion"
    assert "is not the stfusion library" in text
    versions = 'unsigned stf_abi_version(void) {{ return {}; }} const char *stf_version(void) {{ return "7.0.0"; }}'
    (tmp_path / "new").mkdir()
    kind, text = refused(compiled(tmp_path / "new", versions.format(7)))
    assert kind == "wrong version"
    assert "is stfusion 7.0.0 with ABI 7, but ABI 0 is needed: update this program" in text
    (tmp_path / "part").mkdir()
    kind, text = refused(compiled(tmp_path / "part", versions.format(0)))
    assert kind == "not stfusion"
    assert "is not a complete stfusion library" in text


def in_a_new_process(code, **environment):
    clean = {k: v for k, v in os.environ.items() if k != "STFUSION_LIBRARY"}
    return subprocess.run([sys.executable, "-c", code], env={**clean, **environment}, capture_output=True, text=True)


SHOW = "import stfusion; print(stfusion.load_library().path)"


def test_the_system_path_is_searched_last(tmp_path):
    file = tmp_path / "libstfusion.so.0"
    shutil.copy(os.environ["STFUSION_LIBRARY"], file)
    done = in_a_new_process(SHOW, LD_LIBRARY_PATH=str(tmp_path))
    assert done.stdout.strip() == str(file)


def test_a_library_inside_the_package_comes_before_the_system(tmp_path):
    package = tmp_path / "site" / "stfusion"
    shutil.copytree(ROOT / "python/stfusion", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "lib").mkdir()
    shutil.copy(os.environ["STFUSION_LIBRARY"], package / "lib" / "libstfusion.so.0")
    done = in_a_new_process(SHOW, PYTHONPATH=str(package.parent), LD_LIBRARY_PATH=str(tmp_path))
    assert done.stdout.strip() == str(package / "lib" / "libstfusion.so.0")


def test_importing_needs_no_library(tmp_path):
    done = in_a_new_process("import stfusion; print(stfusion.Pair(1, 2).date)", STFUSION_LIBRARY=str(tmp_path / "none"))
    assert (done.returncode, done.stdout.strip()) == (0, "None"), done.stderr


def test_the_abi_file_needs_the_standard_library_alone():
    # it is shipped in places where neither numpy nor this package is
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import _abi, sys; print(_abi.ABI, 'numpy' in sys.modules)"],
        cwd=ROOT / "python/stfusion",
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "0 False", done.stderr
