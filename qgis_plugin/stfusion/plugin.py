# SPDX-License-Identifier: GPL-2.0-or-later
"""The plugin: registers the provider and, where there is one, a translation."""

from pathlib import Path

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QCoreApplication, QLocale, QTranslator

from .provider import StfusionProvider

FOLDER = Path(__file__).resolve().parent


class StfusionPlugin:
    """What QGIS starts and stops. In qgis_process only `initProcessing` is called."""

    def __init__(self, iface):
        self.iface = iface
        # Processing keeps no reference of its own: without this one the algorithms vanish
        self.provider = None
        self.translator = None
        translation = FOLDER / "i18n" / f"stfusion_{QLocale().name()[:2]}.qm"
        if translation.is_file():
            self.translator = QTranslator()
            self.translator.load(str(translation))
            QCoreApplication.installTranslator(self.translator)

    def initProcessing(self):  # noqa: N802
        """Add the provider to the Processing registry."""
        self.provider = StfusionProvider()
        QgsApplication.processingRegistry().addProvider(self.provider)

    def initGui(self):  # noqa: N802
        """Start in QGIS Desktop."""
        self.initProcessing()

    def unload(self):
        """Stop: remove what was added."""
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)
            self.provider = None
        if self.translator is not None:
            QCoreApplication.removeTranslator(self.translator)
            self.translator = None
