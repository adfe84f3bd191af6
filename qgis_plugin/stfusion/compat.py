# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything that differs between QGIS versions (3.22 to 4.x); no other file of the plugin asks for the version."""

from qgis.core import Qgis, QgsDateTimeRange, QgsProcessingParameterString, QgsRasterLayerTemporalProperties
from qgis.PyQt.QtCore import QDate, QDateTime, QTime

VERSION = Qgis.QGIS_VERSION_INT


def creation_options_parameter(name, label):
    """Return the parameter for GDAL creation options, `KEY=VALUE` separated by `|`, with QGIS' own editor."""
    parameter = QgsProcessingParameterString(name, label, "", multiLine=False, optional=True)
    if VERSION >= 34400:
        widget = {"widget_type": "rasteroptions"}
    else:
        widget = {"class": "processing.algs.gdal.ui.RasterOptionsWidget.RasterOptionsWidgetWrapper"}
    parameter.setMetadata({"widget_wrapper": widget})
    return parameter


def _fixed_range_mode():
    # the enum moved to the Qgis class in 3.30; before, the members of this one are only reachable through its class
    mode = getattr(Qgis, "RasterTemporalMode", None)
    if mode is not None:
        return mode.FixedTemporalRange
    return QgsRasterLayerTemporalProperties.ModeFixedTemporalRange


def set_day(layer, day):
    """Give a raster layer the fixed temporal range of one day, `YYYY-MM-DD`, for the temporal controller."""
    date = QDate.fromString(day, "yyyy-MM-dd")
    properties = layer.temporalProperties()
    properties.setMode(_fixed_range_mode())
    properties.setFixedTemporalRange(QgsDateTimeRange(QDateTime(date, QTime(0, 0, 0)), QDateTime(date, QTime(23, 59, 59))))
    properties.setIsActive(True)


def day_of(layer):
    """Return the day of a layer whose fixed temporal range lies within one day, else None."""
    properties = layer.temporalProperties()
    if properties is None or not properties.isActive() or properties.mode() != _fixed_range_mode():
        return None
    span = properties.fixedTemporalRange()
    if span.isInfinite() or span.begin().date() != span.end().date():
        return None
    return span.begin().date().toString("yyyy-MM-dd")
