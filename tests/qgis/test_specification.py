# SPDX-License-Identifier: GPL-2.0-or-later
"""The specification and what the plugin makes of it."""

import configparser
import json
import re
from pathlib import Path

import pytest
from conftest import ROOT
from qgis.core import QgsProcessingParameterDefinition

ADVANCED = QgsProcessingParameterDefinition.Flag.FlagAdvanced
SPEC = json.loads((ROOT / "qgis_plugin" / "stfusion" / "spec.json").read_text(encoding="utf-8"))
METHODS = {method["id"]: method for method in SPEC["methods"]}
PLUGIN = ROOT / "qgis_plugin" / "stfusion"


def test_every_method_and_the_other_algorithms_are_listed(provider):
    assert {a.name() for a in provider.algorithms()} == set(METHODS) | {"virtual", "assess", "compare", "weights", "installation"}
    assert provider.algorithm("starfm").displayName() == "Fuse: STARFM"
    groups = {a.name(): (a.groupId(), a.group()) for a in provider.algorithms()}
    assert groups["starfm"] == ("fusion", "Fusion")
    assert groups["assess"] == groups["compare"] == ("assessment", "Assessment")
    assert groups["installation"] == ("setup", "Setup")


def test_ids_are_frozen_ascii_and_parameters_are_told_apart(provider):
    for algorithm in provider.algorithms():
        names = [p.name() for p in algorithm.parameterDefinitions()]
        assert re.fullmatch(r"[a-z][a-z0-9_]*", algorithm.name())
        assert len(names) == len(set(names))
        assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) for name in names), names


def test_a_dialog_shows_at_most_eight_parameters_at_first(provider):
    for algorithm in provider.algorithms():
        basic = [p.name() for p in algorithm.parameterDefinitions() if not p.flags() & ADVANCED]
        assert len(basic) <= 8, (algorithm.name(), basic)
    starfm = [p.name() for p in provider.algorithm("starfm").parameterDefinitions() if not p.flags() & ADVANCED]
    assert starfm == ["INPUT", "COARSE", "DATE", "COARSE_TARGET", "DATE_TARGET", "WINDOW", "CLASSES", "OUTPUT"]


def test_every_parameter_of_the_specification_has_its_default_label_and_help(provider):
    for method in METHODS.values():
        algorithm = provider.algorithm(method["id"])
        for spec in method["parameters"] + SPEC["options"]:
            parameter = algorithm.parameterDefinition(spec["id"].upper())
            assert parameter is not None, (method["id"], spec["id"])
            assert parameter.description().startswith(spec["label"])
            assert spec["help"] in parameter.help()
            if spec["kind"] in ("int", "float", "bool", "choice"):
                assert parameter.defaultValue() == spec["default"], spec["id"]


def test_every_algorithm_has_help_tags_and_a_summary(provider):
    for algorithm in provider.algorithms():
        assert len(algorithm.shortHelpString()) > 100
        assert algorithm.shortDescription()
        assert algorithm.tags()
        assert "{{" not in algorithm.shortHelpString()
    page = provider.algorithm("starfm").shortHelpString()
    assert "<h3>Use it when</h3>" in page
    assert "<b>Window size</b>" in page
    assert "https://doi.org/10.1109/TGRS.2006.872081" in page


def test_a_method_that_needs_two_pairs_asks_for_them_at_first():
    from stfusion.algorithms.fuse_parameters import definitions

    method = dict(METHODS["starfm"], min_pairs=2, max_pairs=2)
    found = definitions(method)
    basic = [p.name() for p in found if not p.flags() & ADVANCED]
    assert basic == ["INPUT", "COARSE", "INPUT_2", "COARSE_2", "COARSE_TARGET", "DATE_TARGET", "WINDOW", "OUTPUT"]
    names = [p.name() for p in found]
    assert "DATE" in names
    assert "DATE_2" in names
    assert "SCENE_TABLE" not in names
    single = [p.name() for p in definitions(dict(method, min_pairs=1, max_pairs=1, accepts_classes=False))]
    assert not [name for name in single if name.endswith("_2")]
    assert not {"CLASS_MAP", "OBJECT_MAP", "PAN"} & set(single)
    mapped = [p.name() for p in definitions(dict(method, accepts_objects=True, accepts_pan=True))]
    assert {"CLASS_MAP", "CLASS_MAP_2", "OBJECT_MAP", "OBJECT_MAP_2", "PAN", "PAN_2"} <= set(mapped)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("window", 500, "Window size must be between 3 and 301 fine pixels; got 500"),
        ("window", 50, "Window size must be an odd whole number; got 50"),
        ("window", "wide", "Window size must be an odd whole number between 3 and 301 fine pixels; got wide"),
        ("distance", -1, 'Distance must be a number between 0.001 and 1000000 fine pixels, or "auto"; got -1'),
        ("sigma", "0.1 -2", 'Sigma must be numbers of at least 0, or "auto"; got 0.1 -2'),
        ("rule", "softer", "Rule must be one of hard, soft; got softer"),
    ],
)
def test_values_are_refused_in_words(name, value, sentence):
    from stfusion.parameters import BadValue, read

    common = {"help": "", "unit": "", "advanced": False}
    specs = {
        "window": dict(common, label="Window size", unit="fine pixels", kind="int", min=3, max=301, odd=True, default=51),
        "distance": dict(common, label="Distance", unit="fine pixels", kind="auto_float", min=0.001, max=1e6, default="auto"),
        "sigma": dict(common, label="Sigma", kind="floats", min=0.0, max=None, default="auto"),
        "rule": dict(common, label="Rule", kind="choice", default="soft", options=[{"id": "hard"}, {"id": "soft"}]),
    }
    with pytest.raises(BadValue) as refused:
        read(dict(specs[name], id=name), value)
    assert str(refused.value) == sentence


def test_values_are_read_as_they_are_written():
    from stfusion.parameters import plain, read

    number = {"id": "n", "label": "N", "help": "", "unit": "", "kind": "int", "min": 1, "max": 99, "odd": False, "default": 1}
    assert read(number, "51") == 51
    assert read(number, 51.0) == 51
    assert read(number, "") is None
    assert read(dict(number, kind="ints"), "3, 4;5") == [3, 4, 5]
    assert read(dict(number, kind="bool"), "Yes") is True
    assert read(dict(number, kind="auto_float"), "auto") is None
    assert read(dict(number, kind="file"), " a b.bin ") == "a b.bin"
    assert read(dict(number, kind="new_file"), "") is None
    assert [plain(v) for v in (1e6, 1e-12, 0.5, 3, 2.0)] == ["1000000", "0.000000000001", "0.5", "3", "2"]


def test_files_are_chosen_and_destinations_are_optional():
    from qgis.core import QgsProcessingParameterFile, QgsProcessingParameterFileDestination
    from stfusion.parameters import definition

    common = {"help": "Which file.", "unit": "", "advanced": False, "suffix": "bin", "default": None}
    given = definition(dict(common, id="given", label="Given", kind="file"))
    assert isinstance(given, QgsProcessingParameterFile)
    assert given.fileFilter().startswith("*.bin (*.bin);;")
    kept = definition(dict(common, id="kept", label="Kept", kind="new_file"))
    assert isinstance(kept, QgsProcessingParameterFileDestination)
    assert not kept.createByDefault()
    for parameter in (given, kept):
        assert parameter.flags() & QgsProcessingParameterDefinition.Flag.FlagOptional


def test_the_library_refuses_with_the_same_words(library):
    from stfusion.abi import Error
    from stfusion.parameters import BadValue, read

    wrong = {
        "int": [0, 52, 5000, "wide"],
        "float": [-7, "much"],
        "auto_float": [-7],
        "choice": ["none of these"],
        "ints": ["0 1"],
    }
    compared = 0
    for spec in METHODS["starfm"]["parameters"]:
        for value in wrong.get(spec["kind"], []):
            job = {"stfusion": 1, "method": "starfm", "parameters": {spec["id"]: value}}
            job.update(pairs=[{"fine": "f", "coarse": "c"}], target={"coarse": "c"})
            with pytest.raises(BadValue) as ours:
                read(spec, value)
            if spec["kind"] == "ints":
                continue
            with pytest.raises(Error) as theirs:
                library.check_job(job)
            assert str(ours.value) == theirs.value.message
            compared += 1
    assert compared >= 10


def test_the_shipped_specification_is_that_of_the_library(library):
    theirs = library.spec()
    assert {key: value for key, value in SPEC.items() if key != "generated"} == theirs


def test_the_prototypes_are_those_of_the_specifications_abi():
    from stfusion import abi

    assert SPEC["abi"] == abi.ABI
    copy = Path(abi.__file__).read_text(encoding="utf-8").split("\n", 1)[1]
    assert copy == (ROOT / "python/stfusion/_abi.py").read_text(encoding="utf-8")


def test_the_plugin_folder_is_what_the_plugin_repository_takes():
    metadata = configparser.ConfigParser(interpolation=None)
    metadata.read(PLUGIN / "metadata.txt", encoding="utf-8")
    general = metadata["general"]
    for key in ("name", "qgisMinimumVersion", "description", "about", "version", "author"):
        assert general[key], key
    assert re.fullmatch(r"|\S+@\S+", general["email"])
    for key in ("repository", "tracker"):
        assert re.fullmatch(r"|https://\S+", general[key]), key
    assert not re.search(r"example\.(org|com|net)", (PLUGIN / "metadata.txt").read_text(encoding="utf-8"))
    assert general["version"] == SPEC["version"]
    assert general["hasProcessingProvider"] == "yes"
    suffixes = {path.suffix for path in PLUGIN.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert suffixes <= {".py", ".json", ".txt", ".svg", ".qml", ".qm", ".ts", ".md", ""}, suffixes


def test_versions_of_qgis_are_named_in_one_file_and_qt_comes_from_qgis():
    for path in PLUGIN.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name == "abi.py":
            assert text.splitlines()[1] == "# SPDX-License-Identifier: MIT OR Apache-2.0"
        else:
            assert "SPDX-License-Identifier: GPL-2.0-or-later" in text.splitlines()[0], path
        assert not re.search(r"\bPyQt[456]\b", text.replace("qgis.PyQt", "")), path
        assert not re.search(r"^\s*assert\b|shell\s*=\s*True", text, re.MULTILINE), path
        if path.name != "compat.py":
            assert "QGIS_VERSION_INT" not in text, path


def test_markdown_becomes_the_html_of_a_help_panel():
    from stfusion.help import markdown_to_html

    text = "## Head\nOne `x<y` and\n**bold**.\n\n* first\n  more\n* second\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    expected = (
        "<h3>Head</h3>\n<p>One <code>x&lt;y</code> and <b>bold</b>.</p>\n<ul><li>first more</li><li>second</li></ul>\n"
        "<table border='1' cellspacing='0' cellpadding='3'>\n<tr><th>a</th><th>b</th></tr>\n"
        "<tr><td>1</td><td>2</td></tr>\n</table>"
    )
    assert markdown_to_html(text) == expected
