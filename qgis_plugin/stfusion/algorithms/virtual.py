# SPDX-License-Identifier: GPL-2.0-or-later
"""Create fusion layer: a job file that GDAL's driver for stfusion shows as a raster, computed where the map looks."""

import json
import os

from osgeo import gdal
from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingOutputRasterLayer,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterString,
    QgsProcessingUtils,
)

from .. import jobs, specification, styling
from ..i18n import tr
from ..parameters import read
from .base import Refused
from .fuse import COMMON_TAGS, Fuse
from .fuse_parameters import definitions

DRIVER = "STFUSION"

# what all methods together take; the parameters of the one chosen are given as text
ANY_METHOD = {
    "id": "",
    "label": "",
    "parameters": [],
    "min_pairs": 1,
    "max_pairs": None,
    "accepts_classes": True,
    "accepts_objects": True,
    "accepts_pan": True,
}
# a job file has no output, and its values are never stored
OF_FILES = ("OUTPUT", "SUPPORT", "CREATION_OPTIONS", "FORMAT")


def missing_driver():
    """Return the sentence that says what to do when GDAL has no driver for job files; None when it has one."""
    if gdal.GetDriverByName(DRIVER) is not None:
        return None
    return tr(
        "GDAL {version} of this QGIS has no driver {driver}: install gdal_STFUSION.so, built for this version of GDAL, in GDAL's "
        "plugin folder (or name its folder in GDAL_DRIVER_PATH) and restart QGIS"
    ).format(version=gdal.VersionInfo("RELEASE_NAME"), driver=DRIVER)


class Virtual(Fuse):
    """Writes a job file and adds it to the project; nothing is computed before it is looked at."""

    def __init__(self):
        super().__init__(specification.load()["methods"][0]["id"])
        self.method = ANY_METHOD

    def createInstance(self):
        return Virtual()

    def name(self):
        return "virtual"

    def displayName(self):
        return tr("Create fusion layer (virtual)")

    def tags(self):
        return [*COMMON_TAGS, "virtual raster", "vrt", "on demand", "job file", "stf", "gdal driver"]

    def shortDescription(self):
        return tr("Adds a prediction as a layer that is computed where the map looks, without writing it to a file")

    def shortHelpString(self):
        return tr(
            "<p>Writes a job file (.stf) and adds it to the project as a raster layer. Its pixels are those that the fusion of "
            "the same method would write, computed only where the map or another tool reads them; zoomed out, an approximation "
            "at lower resolution is shown.</p>"
            "<p>It needs GDAL's driver for job files. <i>Check installation</i> tells whether it is there. To keep the result "
            "for good, export the layer or run <i>Fuse</i>.</p>"
        )

    def canExecute(self):
        missing = missing_driver()
        return (True, "") if missing is None else (False, missing)

    def initAlgorithm(self, configuration=None):
        ids = [method["id"] for method in specification.load()["methods"]]
        meaning = " ".join(f"{m['id']}: {tr(m['summary'])}." for m in specification.load()["methods"])
        method = QgsProcessingParameterEnum("METHOD", tr("Method"), ids, False, "starfm", False, usesStaticStrings=True)
        method.setHelp(meaning)
        settings_of_method = QgsProcessingParameterString(
            "PARAMETERS", tr("Parameters of the method (NAME=VALUE, separated by |)"), "", False, True
        )
        settings_of_method.setHelp(tr("Such as window=31 | filter=loose. Those left out have their default."))
        output = QgsProcessingParameterFileDestination("OUTPUT", tr("Job file"), tr("stfusion job (*.stf)"))
        output.setHelp(tr("The job, which names the images and can be run with stfusion fuse. It holds no pixels."))
        self.addParameter(method)
        for parameter in definitions(ANY_METHOD):
            if parameter.name() not in OF_FILES:
                self.addParameter(parameter)
        self.addParameter(settings_of_method)
        self.addParameter(output)
        self.addOutput(QgsProcessingOutputRasterLayer("LAYER", tr("Fusion layer")))

    def _read(self, parameters, context):
        values = super()._read(parameters, context)
        method = specification.method(self.choice(parameters, "METHOD", context))
        values["METHOD"] = method
        values["PARAMETERS"] = _by_name(method, self.parameterAsString(parameters, "PARAMETERS", context))
        return values

    def _job(self, values):
        job = jobs.fuse_job(values["METHOD"], values)
        del job["output"]
        return job

    def processAlgorithm(self, parameters, context, feedback):
        path = self.parameterAsFileOutput(parameters, "OUTPUT", context)
        try:
            job = self._job({**self.values, "OUTPUT": path})
        except jobs.BadJob as error:
            raise QgsProcessingException(str(error)) from error
        with open(path, "w", encoding="utf-8") as file:
            json.dump(job, file, indent=2, ensure_ascii=False)
            file.write("\n")
        why_not = _why_not_opened(path)
        if why_not is not None:
            os.remove(path)
            raise QgsProcessingException(why_not)
        self._load(path, context)
        return {"OUTPUT": path, "LAYER": path}

    def _load(self, path, context):
        if context.project() is None:
            return
        day = self.values.get("DATE_TARGET")
        title = " ".join(filter(None, (self.values["METHOD"]["label"], day, tr("(virtual)"))))
        hint = QgsProcessingUtils.LayerHint.Raster
        context.addLayerToLoadOnCompletion(path, QgsProcessingContext.LayerDetails(title, context.project(), "LAYER", hint))
        styling.on_load(context, path, title, styling.Prediction(self.style, day))


def _by_name(method, text):
    """Return the parameters of a text `NAME=VALUE | NAME=VALUE` by id."""
    specs = {spec["id"]: spec for spec in method["parameters"]}
    out = {}
    for part in filter(None, (part.strip() for part in text.replace("\n", "|").split("|"))):
        name, equals, value = (word.strip() for word in part.partition("="))
        spec = specs.get(name.lower().replace("-", "_"))
        if not equals or spec is None:
            names = ", ".join(specs) or tr("none")
            raise Refused(
                tr("Parameters of the method: {part} is not NAME=VALUE with a parameter of {method}; they are {names}").format(
                    part=part, method=method["label"], names=names
                )
            )
        out[spec["id"]] = read(spec, value)
    return {key: value for key, value in out.items() if value is not None}


def _why_not_opened(path):
    """Return GDAL's words when it cannot open the job, else None."""
    gdal.PushErrorHandler("CPLQuietErrorHandler")
    try:
        opened = gdal.OpenEx(path, gdal.OF_RASTER | gdal.OF_VERBOSE_ERROR)
        return None if opened is not None else gdal.GetLastErrorMsg()
    except RuntimeError as error:
        return str(error)
    finally:
        gdal.PopErrorHandler()
