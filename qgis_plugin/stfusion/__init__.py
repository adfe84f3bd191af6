# SPDX-License-Identifier: GPL-2.0-or-later
"""Spatiotemporal fusion in the Processing toolbox of QGIS, computed by the stfusion library."""


def classFactory(iface):  # noqa: N802  (the name QGIS asks for)
    """Make the plugin; QGIS calls this when it loads the folder."""
    from .plugin import StfusionPlugin

    return StfusionPlugin(iface)
