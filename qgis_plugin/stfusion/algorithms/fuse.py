# SPDX-License-Identifier: GPL-2.0-or-later
"""Fuse: one algorithm for every method of the specification, all of this one class."""

from qgis.core import QgsProcessingException, QgsProcessingOutputNumber, QgsProcessingOutputString

from .. import compat, jobs, settings, specification, styling
from ..abi import Error
from ..help import method_help
from ..i18n import tr
from ..parameters import BadValue, name_of
from .base import Refused, StfusionAlgorithm
from .fuse_parameters import definitions

DATES = ("DATE", "DATE_2", "DATE_TARGET")
IMAGES = (
    "INPUT",
    "COARSE",
    "COARSE_TARGET",
    "INPUT_2",
    "COARSE_2",
    "FINE_MASK",
    "COARSE_MASK",
    "COARSE_MASK_TARGET",
    "FINE_MASK_2",
    "COARSE_MASK_2",
    "CLASS_MAP",
    "CLASS_MAP_2",
    "OBJECT_MAP",
    "OBJECT_MAP_2",
    "PAN",
    "PAN_2",
)

COMMON_TAGS = ["spatiotemporal fusion", "blend", "downscale", "time series", "landsat", "modis", "sentinel", "viirs", "ndvi"]


class Fuse(StfusionAlgorithm):
    """Predicts the fine image of a target date with one method."""

    def __init__(self, method_id):
        super().__init__()
        self.method = specification.method(method_id)
        self.values = {}
        self.style = None

    def createInstance(self):
        return Fuse(self.method["id"])

    def name(self):
        return self.method["id"]

    def displayName(self):
        return tr("Fuse: {method}").format(method=tr(self.method["label"]))

    def group(self):
        return tr("Fusion")

    def groupId(self):
        return "fusion"

    def tags(self):
        return list(dict.fromkeys(COMMON_TAGS + [tag.lower() for tag in self.method["tags"]] + [self.method["family"].lower()]))

    def shortDescription(self):
        return tr(self.method["summary"])

    def shortHelpString(self):
        return method_help(self.method)

    def initAlgorithm(self, configuration=None):
        for parameter in definitions(self.method):
            self.addParameter(parameter)
        self.addOutput(QgsProcessingOutputNumber("PREDICTED_FRACTION", tr("Part of the samples that were predicted (0 to 1)")))
        self.addOutput(QgsProcessingOutputNumber("SECONDS", tr("Seconds the run took")))
        self.addOutput(QgsProcessingOutputString("TARGET_DATE", tr("Target date")))

    def checkParameterValues(self, parameters, context):
        try:
            checked = self.check_images(IMAGES, parameters, context)
            job = self._job({**self._read(parameters, context), "OUTPUT": "prediction.tif"})
            if settings.search().problem is None:
                settings.search().library.check_job(job)
        except (Refused, BadValue, jobs.BadJob, Error) as error:
            return False, str(error)
        return super().checkParameterValues(checked, context)

    def _job(self, values):
        return jobs.fuse_job(self.method, values)

    def _read(self, parameters, context):
        """Return the values as plain Python, by Processing name, without the destinations."""
        values = {}
        for name in IMAGES:
            if self.parameterDefinition(name) is not None:
                values[name] = self.image_name(parameters, name, context)
        for name, image in zip(DATES, ("INPUT", "INPUT_2", "COARSE_TARGET")):
            if self.parameterDefinition(name) is not None:
                values[name] = self.day(parameters, name, context) or self._day_of_layer(parameters, image, context)
        for name in ("FINE_MASK_PRESET", "COARSE_MASK_PRESET"):
            values[name] = self.choice(parameters, name, context)
        values["MASK_DILATION"] = self.parameterAsInt(parameters, "MASK_DILATION", context)
        for name in ("FINE_BANDS", "COARSE_BANDS"):
            values[name] = self.band_numbers(parameters, name, context)
        values["CREATION_OPTIONS"] = self.parameterAsString(parameters, "CREATION_OPTIONS", context)
        if self.parameterDefinition("SCENE_TABLE") is not None:
            values["SCENE_TABLE"] = self.parameterAsFile(parameters, "SCENE_TABLE", context)
        values["PARAMETERS"] = self.values_by_id(self.method["parameters"], parameters, context)
        values["OPTIONS"] = self.values_by_id(specification.load()["options"], parameters, context)
        return values

    def _day_of_layer(self, parameters, name, context):
        layer = self.raster(parameters, name, context)
        return None if layer is None else compat.day_of(layer)

    def prepareAlgorithm(self, parameters, context, feedback):
        # layers belong to the main thread, which this runs on: everything of theirs is read here
        try:
            self.values = self._read(parameters, context)
        except (Refused, BadValue) as error:
            raise QgsProcessingException(str(error)) from error
        fine = self.raster(parameters, "INPUT", context)
        if fine is not None:
            self.style = styling.FineStyle(fine, self.values["FINE_BANDS"])
        return True

    def processAlgorithm(self, parameters, context, feedback):
        library = self.library()
        values = self.values
        values["OUTPUT"] = self.parameterAsOutputLayer(parameters, "OUTPUT", context)
        values["SUPPORT"] = self.parameterAsOutputLayer(parameters, "SUPPORT", context) if parameters.get("SUPPORT") else None
        try:
            job = self._job(values)
        except jobs.BadJob as error:
            raise QgsProcessingException(str(error)) from error
        feedback.pushInfo(tr("The same on the command line:"))
        for line in jobs.fuse_command(job):
            feedback.pushCommandInfo(line)
        report = self.call(library.fuse, job, feedback)
        if report is None:
            return {}
        day = jobs.target_date(values["OUTPUT"]) or values.get("DATE_TARGET")
        self._announce(report, feedback)
        results = {"OUTPUT": values["OUTPUT"], "PREDICTED_FRACTION": report["predicted_fraction"], "SECONDS": report["seconds"]}
        if day:
            results["TARGET_DATE"] = day
        written = {name_of(s): values["PARAMETERS"].get(s["id"]) for s in self.method["parameters"] if s["kind"] == "new_file"}
        results.update({name: path for name, path in written.items() if path})
        title = " ".join(filter(None, (self.method["label"], day)))
        styling.on_load(context, values["OUTPUT"], title, styling.Prediction(self.style, day))
        if values["SUPPORT"]:
            results["SUPPORT"] = values["SUPPORT"]
            styling.on_load(context, values["SUPPORT"], tr("Support of {title}").format(title=title), styling.Support(day))
        return results

    @staticmethod
    def _announce(report, feedback):
        feedback.pushInfo(
            tr(
                "{cols} x {rows} pixels, {bands} bands: {percent} % of the samples predicted in {seconds} s "
                "on {device}, {threads} threads."
            ).format(
                cols=report["cols"],
                rows=report["rows"],
                bands=report["bands"],
                device=report["device"],
                threads=report["threads"],
                percent=f"{100 * report['predicted_fraction']:.4g}",
                seconds=f"{report['seconds']:.2f}",
            )
        )
