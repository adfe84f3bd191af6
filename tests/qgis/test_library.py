# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the library is searched, and what people read when it cannot be used."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import LIBRARY
from qgis.core import QgsApplication, QgsProcessingContext, QgsProcessingException, QgsProcessingFeedback, QgsSettings
from stfusion import abi
from stfusion.library import ENVIRONMENT, NO_GDAL, Search


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    """No variable, and no system path: there the loader also finds what this process has already loaded."""
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    monkeypatch.setattr(Search, "_on_system_path", lambda search: search.log.append("system library path: not searched"))


def problem(**where):
    search = Search(0, **where)
    assert search.problem is not None, search.log
    sentence = str(search.problem)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return search.problem.kind, sentence, search


def test_nothing_found_says_where_to_give_the_path(tmp_path):
    kind, sentence, search = problem(folder=tmp_path, prefixes=[str(tmp_path / "prefix")])
    assert kind == abi.NOT_FOUND
    assert "Settings > Options > Processing" in sentence
    assert ENVIRONMENT in sentence
    places = [line.split(":")[0] for line in search.log]
    assert places == ["plugin setting", ENVIRONMENT, "next to the plugin", "system library path", "QGIS prefix"]


def test_a_path_that_the_user_gave_is_never_skipped(tmp_path, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT, LIBRARY)
    kind, sentence, _ = problem(setting=str(tmp_path / "nowhere.so"))
    assert kind == abi.NOT_FOUND
    assert f"{tmp_path}/nowhere.so, given by the plugin setting, does not exist" in sentence
    kind, sentence, _ = problem(setting=str(tmp_path))
    assert "is a folder without the library" in sentence


def test_a_file_that_is_no_library_is_named(tmp_path):
    text = tmp_path / "libstfusion.so"
    text.write_text("not a library")
    kind, sentence, _ = problem(setting=str(text))
    assert kind == abi.NOT_A_LIBRARY
    assert f"{text} is not a shared library of this system" in sentence


def test_another_architecture_is_named(tmp_path):
    foreign = {"x86_64": 183, "aarch64": 62}[abi.architecture()]
    head = bytearray(Path(LIBRARY).read_bytes()[:4096])
    head[18:20] = struct.pack("<H", foreign)
    file = tmp_path / "libstfusion.so.0"
    file.write_bytes(head)
    kind, sentence, _ = problem(setting=str(file))
    assert kind == abi.WRONG_ARCHITECTURE
    other = {183: "aarch64", 62: "x86_64"}[foreign]
    assert f"was built for {other}, but this QGIS runs on {abi.architecture()}" in sentence


def test_a_library_cut_short_is_not_given_to_the_loader(tmp_path):
    file = tmp_path / "libstfusion.so.0"
    file.write_bytes(Path(LIBRARY).read_bytes()[:-1])
    kind, sentence, _ = problem(setting=str(file))
    assert kind == abi.NOT_LOADABLE
    assert f"{file} is incomplete ({file.stat().st_size} bytes)" in sentence


def test_a_library_that_lacks_another_one_is_told_from_a_missing_one(stub):
    path = stub(ABI=0, UNRESOLVED=1)
    kind, sentence, _ = problem(setting=path)
    assert kind == abi.NOT_LOADABLE
    assert "cannot be loaded" in sentence
    assert "function_of_no_library" in sentence


@pytest.mark.parametrize(("number", "remedy"), [(7, "update the plugin"), (0, None)])
def test_another_abi_is_refused_with_both_numbers(stub, number, remedy):
    path = stub(ABI=number, GDAL='"3.6.2"')
    if remedy is None:
        search = Search(0, path)
        assert search.problem is None
        assert search.library.version == "9.8.7"
        assert str(Search(3, path).problem).count("update the library") == 1
        return
    kind, sentence, _ = problem(setting=path)
    assert kind == abi.WRONG_VERSION
    assert f"is stfusion 9.8.7 with ABI {number}, but this plugin needs ABI 0: {remedy}" in sentence


def test_a_library_without_gdal_is_refused_but_described(stub):
    kind, sentence, search = problem(setting=stub(ABI=0))
    assert kind == NO_GDAL
    assert "was built without GDAL" in sentence
    assert search.library is not None


def test_other_and_incomplete_libraries_are_refused(stub):
    kind, sentence, _ = problem(setting=stub(ABI=0, INCOMPLETE=1))
    assert kind == abi.NOT_STFUSION
    assert "not a complete stfusion library" in sentence
    other = next(Path("/usr/lib").glob("*/libz.so.1"), None) or next(Path("/lib").glob("*/libz.so.1"))
    kind, sentence, _ = problem(setting=str(other))
    assert "is not the stfusion library" in sentence


def test_each_place_is_searched_in_its_turn(tmp_path, monkeypatch):
    beside = tmp_path / "plugin" / "lib" / f"{abi.operating_system()}-{abi.architecture()}"
    prefix = tmp_path / "prefix"
    for folder in (beside, prefix / "lib"):
        folder.mkdir(parents=True)
        (folder / "libstfusion.so.0").symlink_to(LIBRARY)
    where = {"folder": tmp_path / "plugin", "prefixes": [str(prefix)]}
    assert Search(0, LIBRARY, **where).library.origin == "plugin setting"
    assert Search(0, **where).library.origin == "next to the plugin"
    monkeypatch.setenv(ENVIRONMENT, str(Path(LIBRARY).parent))
    assert Search(0, **where).library.origin == ENVIRONMENT
    monkeypatch.delenv(ENVIRONMENT)
    (beside / "libstfusion.so.0").unlink()
    assert Search(0, **where).library.origin == "QGIS prefix"


def test_the_system_library_path_is_searched(tmp_path):
    (tmp_path / "libstfusion.so.0").symlink_to(LIBRARY)
    code = "from stfusion.library import Search; s = Search(0); print(s.library.origin, s.library.path, sep='|')"
    environment = {key: value for key, value in os.environ.items() if key != ENVIRONMENT}
    environment["LD_LIBRARY_PATH"] = str(tmp_path)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"system library path|{Path(LIBRARY).resolve()}"


def test_without_the_library_algorithms_are_listed_and_say_what_to_do(provider, fresh_search, monkeypatch, inputs):
    monkeypatch.setenv(ENVIRONMENT, "/nonexistent/libstfusion.so")
    assert len(provider.algorithms()) >= 6
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("stfusion:starfm")
    good, message = algorithm.canExecute()
    assert not good
    assert message.startswith("The stfusion library was not found: /nonexistent/libstfusion.so, given by the STFUSION_LIBRARY")
    with pytest.raises(QgsProcessingException, match="library was not found"):
        algorithm.run(dict(inputs, OUTPUT="TEMPORARY_OUTPUT"), QgsProcessingContext(), QgsProcessingFeedback(), {}, False)
    assert QgsApplication.processingRegistry().createAlgorithmById("stfusion:installation").canExecute() == (True, "")


def test_check_installation_never_fails(run, fresh_search, monkeypatch, stub):
    monkeypatch.setenv(ENVIRONMENT, LIBRARY)
    good = run("stfusion:installation", {})
    assert good["USABLE"] is True
    for part in (
        "plugin: stfusion",
        "library's GDAL: 3.",
        "device: cpu",
        "no GPU: " if "device: cuda" not in good["REPORT"] else "compute capability ",
        "memory available: ",
        f"{ENVIRONMENT}: {LIBRARY}: used",
    ):
        assert part in good["REPORT"], good["REPORT"]
    for path, part in ((stub(ABI=5), "with ABI 5"), (stub(ABI=0), "library's GDAL: none"), ("/nowhere", "does not exist")):
        monkeypatch.setenv(ENVIRONMENT, path)
        bad = run("stfusion:installation", {})
        assert bad["USABLE"] is False
        assert "problem: " in bad["REPORT"]
        assert part in bad["REPORT"]


def test_the_setting_of_the_options_dialog_is_used_at_once(provider, fresh_search, monkeypatch):
    from processing.core.ProcessingConfig import ProcessingConfig

    assert [s.name for s in ProcessingConfig.getSettings()["stfusion"]] == ["STFUSION_LIBRARY"]
    assert fresh_search.search().problem is not None
    QgsSettings().setValue("Processing/Configuration/STFUSION_LIBRARY", LIBRARY)
    try:
        assert fresh_search.search().library.origin == "plugin setting"
    finally:
        QgsSettings().remove("Processing/Configuration/STFUSION_LIBRARY")
    assert fresh_search.search().problem is not None
