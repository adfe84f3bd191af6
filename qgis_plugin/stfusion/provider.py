# SPDX-License-Identifier: GPL-2.0-or-later
"""The Processing provider: one algorithm per method, assessment, comparison, weights of networks, and the installation check."""

from pathlib import Path

from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from . import settings, specification
from .algorithms.assess import Assess
from .algorithms.compare import Compare
from .algorithms.fuse import Fuse
from .algorithms.installation import Installation
from .algorithms.virtual import Virtual
from .algorithms.weights import InspectWeights

ICON = str(Path(__file__).resolve().parent / "icon.svg")


class StfusionProvider(QgsProcessingProvider):
    """Lists its algorithms whether or not the library is there; each says itself what it lacks."""

    def id(self):
        return "stfusion"

    def name(self):
        return "stfusion"

    def longName(self):
        return "stfusion " + specification.load()["version"]

    def icon(self):
        return QIcon(ICON)

    def svgIconPath(self):
        return ICON

    def versionInfo(self):
        return specification.load()["version"]

    def load(self):
        settings.register(self.icon())
        return super().load()

    def unload(self):
        settings.unregister()

    def loadAlgorithms(self):
        for method in specification.load()["methods"]:
            self.addAlgorithm(Fuse(method["id"]))
        self.addAlgorithm(Virtual())
        self.addAlgorithm(Assess())
        self.addAlgorithm(Compare())
        self.addAlgorithm(InspectWeights())
        self.addAlgorithm(Installation())

    def supportedOutputRasterLayerExtensions(self):
        return ["tif"]
