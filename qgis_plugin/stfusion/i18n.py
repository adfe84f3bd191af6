# SPDX-License-Identifier: GPL-2.0-or-later
"""Translation of the texts that people read. Ids, messages of the library and file names stay as they are."""

from qgis.PyQt.QtCore import QCoreApplication


def tr(text):
    """Return `text` in the language of QGIS, or unchanged where there is no translation."""
    return QCoreApplication.translate("stfusion", text)
