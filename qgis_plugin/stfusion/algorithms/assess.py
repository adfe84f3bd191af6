# SPDX-License-Identifier: GPL-2.0-or-later
"""Assess prediction: accuracy against the truth, and skill against simple baselines."""

import json

from qgis.core import (
    QgsProcessingException,
    QgsProcessingOutputNumber,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterNumber,
)

from .. import jobs, report
from ..i18n import tr
from ..parameters import advanced
from .base import Refused, StfusionAlgorithm
from .fuse_parameters import date_parameter, mask_preset_parameter, raster_parameter

MASKS = ("TRUTH_MASK", "FINE_MASK", "FINE_MASK_2")
MASK_PRESETS = ("TRUTH_MASK_PRESET", "FINE_MASK_PRESET")
IMAGES = ("INPUT", "TRUTH", "FINE", "COARSE", "COARSE_TARGET", "FINE_2", "COARSE_2", *MASKS)
DATES = ("DATE", "DATE_2", "DATE_TARGET")
NUMBERS = (
    ("RMSE", "rmse", "Root mean square error"),
    ("MAE", "mae", "Mean absolute error"),
    ("BIAS", "bias", "Mean of prediction minus truth"),
    ("RRMSE", "rrmse", "RMSE divided by the mean of the truth"),
    ("R", "r", "Correlation"),
    ("R2", "r2", "Coefficient of determination"),
    ("SSIM", "ssim", "Structural similarity"),
    ("PSNR", "psnr", "Peak signal-to-noise ratio (dB)"),
    ("UIQI", "uiqi", "Universal image quality index"),
    ("SAM", "sam_deg", "Spectral angle (degrees)"),
    ("ERGAS", "ergas", "ERGAS"),
)


class Assess(StfusionAlgorithm):
    """Compares a prediction with the fine image of the same day."""

    def __init__(self):
        super().__init__()
        self.values = {}
        self.request = {}

    def createInstance(self):
        return Assess()

    def name(self):
        return "assess"

    def displayName(self):
        return tr("Assess prediction")

    def group(self):
        return tr("Assessment")

    def groupId(self):
        return "assessment"

    def tags(self):
        return [
            "accuracy",
            "validation",
            "rmse",
            "ssim",
            "ergas",
            "sam",
            "correlation",
            "bias",
            "skill",
            "baseline",
            "compare",
            "truth",
            "error",
        ]

    def shortDescription(self):
        return tr("Accuracy of a predicted image against the true one, and skill against simple baselines")

    def shortHelpString(self):
        return tr(
            "<p>Compares a prediction with the <b>truth</b>, a fine image of the same day that the fusion has not seen: RMSE, "
            "MAE, bias, R, R², SSIM, PSNR, UIQI, SAM and ERGAS, for each band and over all.</p>"
            "<p>With the images of the pair, the <b>skill</b> comes first: 1 − RMSE / RMSE of a baseline. Baselines are the fine "
            "image of the nearest pair, the interpolation in time, and the fine image plus the change between the coarse images. "
            "A skill below 0 means that the fusion was not worth running here.</p>"
            "<p>The report is one HTML file that needs nothing else.</p>"
        )

    def initAlgorithm(self, configuration=None):
        skill = tr("Only for the skill against baselines.")
        self.addParameter(raster_parameter("INPUT", tr("Prediction"), tr("The predicted fine image."), False))
        self.addParameter(
            raster_parameter(
                "TRUTH", tr("Truth"), tr("The fine image of the same day, not used in the fusion, on the same grid."), False
            )
        )
        self.addParameter(raster_parameter("FINE", tr("Fine image of the pair"), skill))
        self.addParameter(raster_parameter("COARSE", tr("Coarse image of the pair"), skill))
        self.addParameter(raster_parameter("COARSE_TARGET", tr("Coarse image of the target date"), skill))
        more = [
            raster_parameter("FINE_2", tr("Fine image of a second pair"), skill),
            raster_parameter("COARSE_2", tr("Coarse image of a second pair"), skill),
        ]
        labels = (tr("Date of the pair"), tr("Date of the second pair"), tr("Target date"))
        more += [date_parameter(name, label) for name, label in zip(DATES, labels)]
        masked = tr("Quality band or mask on the image's grid. Masked pixels are not assessed.")
        more += [
            raster_parameter("TRUTH_MASK", tr("Mask of the truth"), masked),
            mask_preset_parameter("TRUTH_MASK_PRESET", tr("Meaning of the truth's mask"), True),
            raster_parameter("FINE_MASK", tr("Mask of the fine image of the pair"), skill),
            raster_parameter("FINE_MASK_2", tr("Mask of the fine image of the second pair"), skill),
            mask_preset_parameter("FINE_MASK_PRESET", tr("Meaning of the fine masks"), True),
        ]
        data_range = QgsProcessingParameterNumber(
            "DATA_RANGE", tr("Data range, automatic if not set"), QgsProcessingParameterNumber.Type.Double, None, True, 0.0
        )
        data_range.setHelp(
            tr(
                "Largest minus smallest possible value, used by SSIM and PSNR. Automatic: 1 for reflectance and "
                "indices, else that of the truth."
            )
        )
        more.append(data_range)
        for parameter in more:
            self.addParameter(advanced(parameter))
        page = QgsProcessingParameterFileDestination("OUTPUT", tr("Report"), tr("HTML files (*.html)"), None, True)
        page.setHelp(tr("One HTML file with tables of all figures."))
        self.addParameter(page)
        figures = QgsProcessingParameterFileDestination(
            "JSON", tr("Figures as JSON"), tr("JSON files (*.json)"), None, True, False
        )
        figures.setHelp(tr("The same figures for other programs."))
        self.addParameter(advanced(figures))
        for name, _, label in NUMBERS:
            self.addOutput(QgsProcessingOutputNumber(name, tr(label)))
        self.addOutput(QgsProcessingOutputNumber("SKILL", tr("Skill against the best baseline")))

    def checkParameterValues(self, parameters, context):
        try:
            checked = self.check_images(IMAGES, parameters, context)
            jobs.assess_request(self._read(parameters, context))
        except (Refused, jobs.BadJob) as error:
            return False, str(error)
        return super().checkParameterValues(checked, context)

    def _read(self, parameters, context):
        values = {name: self.image_name(parameters, name, context) for name in IMAGES}
        values.update({name: self.day(parameters, name, context) for name in DATES})
        values.update({name: self.choice(parameters, name, context) for name in MASK_PRESETS})
        raw = parameters.get("DATA_RANGE")
        values["DATA_RANGE"] = None if raw is None or raw == "" else self.parameterAsDouble(parameters, "DATA_RANGE", context)
        if values["DATA_RANGE"] is not None and not values["DATA_RANGE"] > 0:
            raise Refused(tr("Data range must be a positive number; got {raw}").format(raw=raw))
        return values

    def prepareAlgorithm(self, parameters, context, feedback):
        try:
            self.values = self._read(parameters, context)
            self.request = jobs.assess_request(self.values)
        except (Refused, jobs.BadJob) as error:
            raise QgsProcessingException(str(error)) from error
        return True

    def processAlgorithm(self, parameters, context, feedback):
        library = self.library()
        command = jobs.assess_command(self.request)
        if command is None:
            feedback.pushInfo(tr("The command line takes a mask for each fine image or for none, so it cannot say the same."))
        else:
            feedback.pushInfo(tr("The same on the command line:"))
            feedback.pushCommandInfo(command)
        assessment = self.call(library.assess, self.request, feedback)
        if assessment is None:
            return {}
        for line in report.text(assessment):
            feedback.pushInfo(line)
        results = {name: assessment["overall"].get(key) for name, key, _ in NUMBERS}
        skills = [s["skill"] for s in assessment["skill"] if s["skill"] is not None]
        results["SKILL"] = min(skills) if skills else None
        results = {name: value for name, value in results.items() if value is not None}
        title = f"{self.values['INPUT']} / {self.values['TRUTH']}"
        for name, content in (("OUTPUT", report.page(assessment, title)), ("JSON", json.dumps(assessment, indent=2))):
            path = self.parameterAsFileOutput(parameters, name, context)
            if path:
                try:
                    with open(path, "w", encoding="utf-8") as file:
                        file.write(content)
                except OSError as error:
                    raise QgsProcessingException(tr("The report cannot be written: {error}").format(error=error)) from error
                results[name] = path
        return results
