# SPDX-License-Identifier: GPL-2.0-or-later
"""Compare methods: each pair of the user's own images is held back in turn and predicted from the others."""

import json
from functools import partial

from qgis.core import (
    QgsProcessing,
    QgsProcessingException,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterString,
)

from .. import compat, jobs, settings, specification
from ..abi import Error
from ..dates import iso_date
from ..i18n import tr
from ..parameters import BadValue, advanced, definition
from ..report import number
from .base import Refused, StfusionAlgorithm
from .fuse_parameters import scene_table_parameter

IMAGES = ("INPUT", "COARSE")
BANDS = ("FINE_BANDS", "COARSE_BANDS")
BASELINES = "Baselines"


def _methods():
    """Return the methods to choose from; the baselines always take part."""
    return [m for m in specification.load()["methods"] if m["family"] != BASELINES]


def _options():
    return [spec for spec in specification.load()["options"] if spec["id"] != "format"]


class Compare(StfusionAlgorithm):
    """Compares methods on the pairs of the user."""

    def __init__(self):
        super().__init__()
        self.values = {}

    def createInstance(self):
        return Compare()

    def name(self):
        return "compare"

    def displayName(self):
        return tr("Compare methods")

    def group(self):
        return tr("Assessment")

    def groupId(self):
        return "assessment"

    def tags(self):
        return [
            "compare",
            "methods",
            "benchmark",
            "cross-validation",
            "leave one out",
            "validation",
            "accuracy",
            "skill",
            "baseline",
            "rmse",
            "ssim",
            "which method",
            "starfm",
            "spatiotemporal fusion",
        ]

    def shortDescription(self):
        return tr("Which fusion method is best on your own images: every pair held back in turn and predicted from the others")

    def shortHelpString(self):
        return tr(
            "<p>Tells which method is best <b>on your own images</b>. Give the fine and the coarse images of two days or more: "
            "each day in turn is held back, predicted from the other days by every method, and its fine image is the truth. Two "
            "days are enough for methods that predict from one pair; those that need two pairs need three days.</p>"
            "<p>The <b>skill</b> comes first: 1 − RMSE / RMSE of a baseline. Baselines are the fine image of the nearest pair, "
            "the interpolation in time, and the fine image plus the change between the coarse images; they always take part. "
            "A skill below 0 means that the fusion was not worth running. All methods are scored on the same pixels, with "
            "the default values of their parameters.</p>"
            "<p>The report is one HTML file that needs nothing else: a recommendation, figures for each band and day, maps of "
            "predictions and errors, scatter plots, time and memory. A method that the images do not satisfy is listed with the "
            "reason.</p>"
            "<p>Cloudy images need their masks: give them in a table instead of the two lists.</p>"
        )

    def initAlgorithm(self, configuration=None):
        self.addParameter(
            _rasters("INPUT", tr("Fine images"), tr("One for each day, all on one grid, such as Landsat or Sentinel-2."))
        )
        self.addParameter(
            _rasters("COARSE", tr("Coarse images"), tr("Of the same days in the same order, in any grid and projection."))
        )
        dates = QgsProcessingParameterString("DATES", tr("Dates (YYYY-MM-DD)"), None, False, True)
        dates.setHelp(
            tr(
                "In the order of the fine images, separated by spaces or commas. If left empty: the days of the layers' fixed "
                "temporal ranges, else the dates in the files' names or metadata."
            )
        )
        self.addParameter(dates)
        ids = [m["id"] for m in _methods()]
        methods = QgsProcessingParameterEnum("METHODS", tr("Methods"), ids, True, ids, True, usesStaticStrings=True)
        methods.setHelp(
            tr("None: all.") + " " + " ".join(f"{m['id']}: {tr(m['label'])}, {tr(m['summary'])}." for m in _methods())
        )
        self.addParameter(methods)
        more = [scene_table_parameter(tr("Table of pairs"))]
        for name, label in zip(BANDS, (tr("Bands of the fine images"), tr("Matching bands of the coarse images"))):
            bands = QgsProcessingParameterString(name, label, None, False, True)
            bands.setHelp(
                tr("Numbers separated by semicolons, in the same order in both. If left empty: all, by wavelength or order.")
            )
            more.append(bands)
        more += [definition(spec) for spec in _options()]
        for parameter in more:
            self.addParameter(advanced(parameter))
        page = QgsProcessingParameterFileDestination("OUTPUT", tr("Report"), tr("HTML files (*.html)"), None, True)
        page.setHelp(tr("One HTML file with figures, maps and scatter plots."))
        self.addParameter(page)
        for name, label, kind, text in (
            ("CSV", tr("Figures as CSV"), tr("CSV files (*.csv)"), tr("One row for each day, method and band.")),
            ("JSON", tr("Figures as JSON"), tr("JSON files (*.json)"), tr("The same figures for other programs.")),
        ):
            figures = QgsProcessingParameterFileDestination(name, label, kind, None, True, False)
            figures.setHelp(text)
            self.addParameter(advanced(figures))
        self.addOutput(QgsProcessingOutputString("BEST_METHOD", tr("Method with the smallest error, baselines included")))
        self.addOutput(QgsProcessingOutputNumber("BEST_SKILL", tr("Skill of the best method against the best baseline")))
        self.addOutput(QgsProcessingOutputString("RECOMMENDATION", tr("What follows from the figures")))
        self.addOutput(QgsProcessingOutputNumber("SECONDS", tr("Seconds the comparison took")))

    def checkParameterValues(self, parameters, context):
        try:
            checked = dict(parameters)
            for name in IMAGES:
                items = self._items(parameters, name, context)
                checked[name] = [self.check_images([name], {name: item}, context)[name] for item in items]
            job = jobs.compare_job(self._read(parameters, context))
            if settings.search().problem is None:
                settings.search().library.check_job(job)
        except (Refused, BadValue, jobs.BadJob, Error) as error:
            return False, str(error)
        return super().checkParameterValues(checked, context)

    def _items(self, parameters, name, context):
        """Return the rasters of a list, each as a parameter's value."""
        raw = parameters.get(name)
        if raw is None or raw == "":
            return []
        if isinstance(raw, (list, tuple)):
            return [item for item in raw if item is not None and item != ""]
        if isinstance(raw, str):
            return [raw]
        return self.parameterAsLayerList(parameters, name, context)

    def _read(self, parameters, context):
        """Return the values as plain Python, by Processing name, without the destinations."""
        values = {}
        for name in IMAGES:
            items = self._items(parameters, name, context)
            values[name] = [self.image_name({name: item}, name, context) for item in items]
        values["DATES"] = self._days(parameters, context)
        chosen = self.parameterAsEnumStrings(parameters, "METHODS", context)
        values["METHODS"] = [] if set(chosen) == {m["id"] for m in _methods()} else chosen
        values["SCENE_TABLE"] = self.parameterAsFile(parameters, "SCENE_TABLE", context)
        for name in BANDS:
            values[name] = self.band_numbers(parameters, name, context)
        values["OPTIONS"] = self.values_by_id(_options(), parameters, context)
        return values

    def _days(self, parameters, context):
        text = self.parameterAsString(parameters, "DATES", context) or ""
        words = text.replace(",", " ").replace(";", " ").split()
        try:
            days = [iso_date(word) for word in words]
        except ValueError as error:
            raise Refused(f"{self.label_of('DATES')}: {error}") from error
        if days:
            return days
        layers = (self.raster({"INPUT": item}, "INPUT", context) for item in self._items(parameters, "INPUT", context))
        days = [None if layer is None else compat.day_of(layer) for layer in layers]
        return days if any(days) else []

    def prepareAlgorithm(self, parameters, context, feedback):
        # layers belong to the main thread, which this runs on: everything of theirs is read here
        try:
            self.values = self._read(parameters, context)
        except (Refused, BadValue) as error:
            raise QgsProcessingException(str(error)) from error
        return True

    def processAlgorithm(self, parameters, context, feedback):
        library = self.library()
        for name in ("OUTPUT", "CSV"):
            self.values[name] = self.parameterAsFileOutput(parameters, name, context)
        try:
            job, options = jobs.compare_job(self.values), jobs.compare_options(self.values)
        except jobs.BadJob as error:
            raise QgsProcessingException(str(error)) from error
        feedback.pushInfo(tr("The same on the command line:"))
        for line in jobs.compare_command(job, options):
            feedback.pushCommandInfo(line)
        found = self.call(partial(library.compare, job), options, feedback)
        if found is None:
            return {}
        for line in _log(found):
            feedback.pushInfo(line)
        results = {"RECOMMENDATION": found["recommendation"], "SECONDS": found["seconds"]}
        results["BEST_METHOD"], results["BEST_SKILL"] = found["best"], found["best_skill"]
        results.update({name: self.values[name] for name in ("OUTPUT", "CSV") if self.values[name]})
        path = self.parameterAsFileOutput(parameters, "JSON", context)
        if path:
            try:
                with open(path, "w", encoding="utf-8") as file:
                    json.dump(found, file, indent=2)
            except OSError as error:
                raise QgsProcessingException(tr("The figures cannot be written: {error}").format(error=error)) from error
            results["JSON"] = path
        return {name: value for name, value in results.items() if value is not None}


def _rasters(name, label, help_text):
    """Return a parameter for several raster layers, which a table may replace."""
    parameter = QgsProcessingParameterMultipleLayers(name, label, QgsProcessing.SourceType.TypeRaster, None, True)
    parameter.setHelp(help_text)
    return parameter


def _log(found):
    """Return the recommendation and the skill of each method as lines."""
    lines = ["", found["recommendation"], "", tr("Skill against:")]
    rows = [["", *found["baselines"]]]
    for method in found["methods"]:
        if method["scores"] is not None:
            skills = {s["baseline"]: s["skill"] for s in method["scores"]["skill"]}
            rows.append([method["name"], *(number(skills.get(b), True) for b in found["baselines"])])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join(cells).rstrip())
    for left_out in found["left_out"]:
        lines.append(tr("{name} was left out: {reason}").format(name=left_out["name"], reason=left_out["reason"]["message"]))
    for method in found["methods"]:
        for fold, scores in zip(found["folds"], method["folds"]):
            if scores["error"]:
                lines.append(
                    tr("{name} failed on {day}: {reason}").format(
                        name=method["name"], day=fold["label"], reason=scores["error"]["message"]
                    )
                )
    return lines
