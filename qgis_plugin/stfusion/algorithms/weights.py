# SPDX-License-Identifier: GPL-2.0-or-later
"""Inspect weights: which network a file of weights is for, and under which terms."""

from qgis.core import QgsProcessingException, QgsProcessingOutputString, QgsProcessingParameterFile

from ..abi import Error
from ..i18n import tr
from .base import StfusionAlgorithm


class InspectWeights(StfusionAlgorithm):
    """Shows network, bands, preparation of images, training, licence and problems of a weights file."""

    WEIGHTS = "WEIGHTS"

    def createInstance(self):
        return InspectWeights()

    def name(self):
        return "weights"

    def displayName(self):
        return tr("Inspect weights")

    def group(self):
        return tr("Setup")

    def groupId(self):
        return "setup"

    def tags(self):
        return ["weights", "network", "deep learning", "safetensors", "onnx", "licence", "training", "bands"]

    def shortDescription(self):
        return tr("Shows which network a weights file is for, how it was trained, and under which licence it may be used")

    def shortHelpString(self):
        return tr(
            "<p>Reads a file of network weights (safetensors or ONNX) and shows the network, its bands, how images are prepared "
            "for it, notes on its training, its licence, and what is wrong with the file.</p>"
            "<p>Nothing in such a file is run. Checkpoints of other programs (.pth, .h5) are converted with "
            "tools/convert_weights.py.</p>"
        )

    def initAlgorithm(self, configuration=None):
        weights = QgsProcessingParameterFile(
            self.WEIGHTS, tr("Weights"), fileFilter=tr("Weights") + " (*.safetensors *.onnx);;" + tr("All files") + " (*.*)"
        )
        weights.setHelp(tr("The file to look at."))
        self.addParameter(weights)
        for name, label in (("NETWORK", tr("Network")), ("LICENCE", tr("Licence")), ("REPORT", tr("Report"))):
            self.addOutput(QgsProcessingOutputString(name, label))

    def processAlgorithm(self, parameters, context, feedback):
        name = self.parameterAsFile(parameters, self.WEIGHTS, context)
        try:
            weights = self.library().weights_info(name)
        except Error as error:
            raise QgsProcessingException(str(error)) from error
        # the text ends with the problems, which are told as warnings
        for line in weights["text"].partition("\nProblem ")[0].splitlines():
            feedback.pushInfo(line)
        for problem in weights["problems"]:
            feedback.pushWarning(problem)
        return {
            "NETWORK": weights["network"] or "",
            "LICENCE": weights["description"].get("licence", ""),
            "REPORT": weights["text"],
        }
