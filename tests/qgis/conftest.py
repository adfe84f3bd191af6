# SPDX-License-Identifier: GPL-2.0-or-later
"""A small scene, the plugin in the Processing registry, and qgis_process."""

import gc
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from qgis.core import QgsApplication, QgsProcessingContext, QgsProcessingFeedback, QgsProject
from scene import make_scene
from stfusion.abi import PROTOTYPES

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
LIBRARY = os.environ.get("STFUSION_LIBRARY", "")
COMMAND = os.environ.get("STFUSION_COMMAND", "stfusion")


@pytest.fixture(scope="session")
def scene(tmp_path_factory):
    """A scene of 120 x 120 fine pixels; tests do not write into its folder."""
    return make_scene(tmp_path_factory.mktemp("scene"), 120)


@pytest.fixture(scope="session")
def inputs(scene):
    """The parameters every fusion needs."""
    return {"INPUT": scene["fine"], "COARSE": scene["coarse"], "COARSE_TARGET": scene["target"]}


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    """Parameters of a run that takes several seconds."""
    names = make_scene(tmp_path_factory.mktemp("large"), 1600)
    return {"INPUT": names["fine"], "COARSE": names["coarse"], "COARSE_TARGET": names["target"], "WINDOW": 101, "THREADS": 1}


@pytest.fixture(scope="session")
def provider(qgis_app, qgis_processing):
    """The provider, registered as the plugin does it."""
    from stfusion import classFactory

    plugin = classFactory(None)
    plugin.initProcessing()
    yield QgsApplication.processingRegistry().providerById("stfusion")
    plugin.unload()


@pytest.fixture
def fresh_search(monkeypatch):
    """A search for the library that starts anew, and leaves nothing behind."""
    from stfusion import settings

    monkeypatch.setattr(settings, "_found", {})
    return settings


class Feedback(QgsProcessingFeedback):
    """Keeps what an algorithm says; cancels itself when progress reaches `cancel_at` percent."""

    def __init__(self, cancel_at=None):
        super().__init__()
        self.infos, self.warnings, self.commands, self.texts, self.steps = [], [], [], [], []
        self.cancel_at = cancel_at
        self.progressChanged.connect(self._note)

    def _note(self, percent):
        self.steps.append(percent)
        if self.cancel_at is not None and percent >= self.cancel_at:
            self.cancel()

    def pushInfo(self, info):
        self.infos.append(info)

    def pushWarning(self, warning):
        self.warnings.append(warning)

    def pushCommandInfo(self, info):
        self.commands.append(info)

    def setProgressText(self, text):
        self.texts.append(text)


@pytest.fixture
def run(provider):
    """Run an algorithm as Processing does: check, then run; return results, and the feedback and context used."""

    def go(name, parameters, feedback=None, context=None):
        algorithm = QgsApplication.processingRegistry().createAlgorithmById(name)
        feedback = feedback or Feedback()
        if context is None:
            context = QgsProcessingContext()
            context.setProject(QgsProject.instance())
        parameters = algorithm.preprocessParameters(parameters)
        good, message = algorithm.checkParameterValues(parameters, context)
        if not good:
            raise ValueError(message)
        results, good = algorithm.run(parameters, context, feedback, {}, False)
        go.context, go.feedback = context, feedback
        return results

    yield go
    # layers of a context that outlives QGIS would be freed after their providers
    go.context = go.feedback = None
    gc.collect()


@pytest.fixture
def process(tmp_path):
    """Run qgis_process with a profile of its own, up to the text `stop_at` if given; return what it printed."""

    def go(*arguments, library=LIBRARY, fails=False, stop_at=None):
        environment = dict(os.environ, STFUSION_LIBRARY=library, QGIS_CUSTOM_CONFIG_PATH=str(tmp_path / "profile"))
        if not (tmp_path / "profile").exists():
            subprocess.run(
                ["qgis_process.bin", "plugins", "enable", "stfusion"], env=environment, capture_output=True, check=True
            )
        if stop_at is not None:
            with subprocess.Popen(
                ["qgis_process.bin", *arguments], env=environment, stdout=subprocess.PIPE, text=True
            ) as started:
                seen = ""
                while stop_at not in seen:
                    character = started.stdout.read(1)
                    assert character, seen
                    seen += character
                started.terminate()
                return seen + started.stdout.read()
        done = subprocess.run(
            ["qgis_process.bin", *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        text = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, text
        return json.loads(done.stdout) if "--json" in arguments and not fails else text

    return go


@pytest.fixture
def stub(tmp_path):
    """Compile the stand-in for a library with the given macros; return its path."""

    def build(**macros):
        path = tmp_path / f"libstub{len(list(tmp_path.iterdir()))}.so"
        compiler = shutil.which("cc") or shutil.which("gcc")
        flags = [f"-D{name}={value}" for name, value in macros.items()]
        source = Path(__file__).with_name("stub.c")
        called = set(re.findall(r"\b(stf_\w+)\(", source.read_text(encoding="utf-8")))
        rest = tmp_path / "rest.c"
        rest.write_text("".join(f"int {name}(void) {{ return 10; }}\n" for name in PROTOTYPES if name not in called))
        sources = [str(source)] if "INCOMPLETE" in macros else [str(source), str(rest)]
        subprocess.run([compiler, "-shared", "-fPIC", "-o", str(path), *flags, *sources], check=True)
        return str(path)

    return build


@pytest.fixture(scope="session")
def library():
    """The real library."""
    from stfusion import specification
    from stfusion.library import Search

    search = Search(specification.load()["abi"], LIBRARY)
    assert search.problem is None, search.problem
    return search.library
