# SPDX-License-Identifier: GPL-2.0-or-later
"""A small scene, the plugin in the Processing registry, and qgis_process."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal, osr
from qgis.core import QgsApplication, QgsProcessingContext, QgsProcessingFeedback, QgsProject

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
LIBRARY = os.environ.get("STFUSION_LIBRARY", "")
COMMAND = os.environ.get("STFUSION_COMMAND", "stfusion")
PAIR_DAY, TARGET_DAY = "2020-06-18", "2020-07-04"
SCALE = 10
gdal.UseExceptions()


def write(path, planes, pixel, names=(), scale=None, nodata=None, kind=gdal.GDT_Int16):
    """Write `planes` (band, row, col) as a GeoTIFF in UTM with the upper-left corner all images share."""
    bands, rows, cols = planes.shape
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), cols, rows, bands, kind)
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32633)
    dataset.SetProjection(reference.ExportToWkt())
    dataset.SetGeoTransform((500000, pixel, 0, 5200000, 0, -pixel))
    for number in range(bands):
        band = dataset.GetRasterBand(number + 1)
        band.WriteArray(planes[number])
        if names:
            band.SetDescription(names[number])
        if scale:
            band.SetScale(scale)
        if nodata is not None:
            band.SetNoDataValue(nodata)
    dataset.FlushCache()
    return str(path)


def read(path):
    """Return a raster as (band, row, col)."""
    planes = gdal.Open(str(path)).ReadAsArray()
    return planes if planes.ndim == 3 else planes[np.newaxis]


def make_scene(folder, side):
    """Write a scene of fields that grow by different amounts, `side` fine pixels wide; return the names by role."""
    random = np.random.default_rng(7)
    parcels = random.integers(0, 5, (side // 8 + 1, side // 8 + 1)).repeat(8, 0).repeat(8, 1)[:side, :side]
    fine = {}
    for day, growth in ((PAIR_DAY, 0.0), (TARGET_DAY, 1.0)):
        bands = [
            600 + 300 * parcels - 120 * growth * (parcels == 2),
            500 + 400 * parcels - 200 * growth * (parcels >= 3),
            2500 + 150 * parcels + 900 * growth * (parcels % 2),
        ]
        fine[day] = np.rint(np.array(bands) + random.normal(0, 15, (3, side, side))).astype(np.int16)
    names = {}
    labels = ("Green", "Red", "NIR")
    for role, day in (("fine", PAIR_DAY), ("truth", TARGET_DAY)):
        names[role] = write(folder / f"{role}_{day.replace('-', '')}.tif", fine[day], 30, labels, 1e-4, -9999)
    for role, day in (("coarse", PAIR_DAY), ("target", TARGET_DAY)):
        means = fine[day].reshape(3, side // SCALE, SCALE, side // SCALE, SCALE).mean((2, 4))
        names[role] = write(folder / f"{role}_{day.replace('-', '')}.tif", np.rint(means).astype(np.int16), 300, labels, 1e-4, -9999)
    mask = np.zeros((1, side, side), np.uint8)
    mask[0, 20:40, 30:60] = 1
    names["mask"] = write(folder / "cloud.tif", mask, 30, kind=gdal.GDT_Byte)
    names["classes"] = write(folder / "classes.tif", parcels[np.newaxis].astype(np.uint8), 30, kind=gdal.GDT_Byte)
    return names


@pytest.fixture(scope="session")
def scene(tmp_path_factory):
    """A scene of 120 x 120 fine pixels; tests do not write into its folder."""
    return make_scene(tmp_path_factory.mktemp("scene"), 120)


@pytest.fixture(scope="session")
def inputs(scene):
    """The parameters every fusion needs."""
    return {"INPUT": scene["fine"], "COARSE": scene["coarse"], "COARSE_TARGET": scene["target"]}


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

    return go


@pytest.fixture
def process(tmp_path):
    """Run qgis_process with a profile of its own; returns what it printed."""

    def go(*arguments, library=LIBRARY, fails=False):
        environment = dict(os.environ, STFUSION_LIBRARY=library, QGIS_CUSTOM_CONFIG_PATH=str(tmp_path / "profile"))
        if not (tmp_path / "profile").exists():
            subprocess.run(["qgis_process.bin", "plugins", "enable", "stfusion"], env=environment, capture_output=True, check=True)
        done = subprocess.run(["qgis_process.bin", *arguments], env=environment, capture_output=True, text=True, timeout=300)
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
        subprocess.run([compiler, "-shared", "-fPIC", "-o", str(path), *flags, str(Path(__file__).with_name("stub.c"))], check=True)
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
