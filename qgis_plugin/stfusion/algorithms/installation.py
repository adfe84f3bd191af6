# SPDX-License-Identifier: GPL-2.0-or-later
"""Check installation: the text to paste into a report. Never fails, whatever is missing."""

import platform

from osgeo import gdal
from qgis.core import Qgis, QgsProcessingOutputBoolean, QgsProcessingOutputString

from .. import settings, specification
from ..abi import Error, architecture, operating_system
from ..i18n import tr
from . import virtual
from .base import StfusionAlgorithm


class Installation(StfusionAlgorithm):
    """Tells which library is used, or why none is."""

    def createInstance(self):
        return Installation()

    def name(self):
        return "installation"

    def displayName(self):
        return tr("Check installation")

    def group(self):
        return tr("Setup")

    def groupId(self):
        return "setup"

    def tags(self):
        return ["setup", "library", "version", "gdal", "device", "gpu", "cuda", "driver", "memory", "report", "diagnose"]

    def shortDescription(self):
        return tr("Prints library, version, GDAL, devices and memory: the text for a report")

    def shortHelpString(self):
        return tr(
            "<p>Prints which stfusion library is used and where it was searched, its version, GDAL, devices, driver and "
            "memory.</p>"
            "<p>It never fails: if the library is missing, it says why and what to do. Paste its text into a report.</p>"
        )

    def canExecute(self):
        return True, ""

    def initAlgorithm(self, configuration=None):
        self.addOutput(QgsProcessingOutputBoolean("USABLE", tr("Whether the library can be used")))
        self.addOutput(QgsProcessingOutputString("REPORT", tr("Report")))

    def processAlgorithm(self, parameters, context, feedback):
        lines, usable = report()
        for line in lines:
            feedback.pushInfo(line)
        return {"USABLE": usable, "REPORT": "\n".join(lines)}


def report():
    """Return the lines of the report, and whether the library can be used."""
    spec = specification.load()
    found = settings.search()
    lines = [
        f"plugin: stfusion {spec['version']}, ABI {spec['abi']}",
        f"QGIS: {Qgis.QGIS_VERSION}, GDAL {gdal.VersionInfo('RELEASE_NAME')}, Python {platform.python_version()}",
        f"system: {platform.platform()}, {operating_system()}-{architecture()}",
    ]
    if found.problem is not None:
        lines.append(f"problem: {found.problem}")
    lines.append(f"GDAL driver: {virtual.missing_driver() or 'STFUSION is installed'}")
    library = found.library
    if library is not None:
        lines += [f"library: {library.path} ({library.origin})", f"library version: {library.version}, ABI {library.abi}"]
        if library.version != spec["version"]:
            lines.append(f"note: plugin and library are of different releases ({spec['version']}, {library.version})")
        try:
            lines += _describe(library.installation())
        except (Error, ValueError) as error:
            lines.append(f"problem: the library does not describe itself: {error}")
    lines.append("search:")
    lines += [f"  {line}" for line in found.log]
    return lines, found.problem is None


def _describe(installation):
    known = dict(installation)
    gdal_version = known.pop("gdal", None)
    lines = [f"library's GDAL: {gdal_version or 'none'}"]
    for device in known.pop("devices", []):
        details = [_text(key, value) for key, value in device.items() if key not in ("id", "name") and value is not None]
        lines.append(", ".join([f"device: {device.get('id')}: {device.get('name')}", *details]))
    gpu = known.pop("gpu", None)
    if gpu:
        lines.append(f"no GPU: {gpu.get('missing')}. {gpu.get('remedy')}")
    for key, value in known.items():
        if key in ("version", "os", "arch") or value is None:
            continue
        lines.append(_text(key, value, ": "))
    return lines


def _text(key, value, between=" "):
    name = key.removesuffix("_bytes").replace("_", " ")
    if key.startswith("memory"):
        return f"{name}{between}{value / 2**20:.0f} MiB"
    return name + between + (", ".join(str(v) for v in value) if isinstance(value, list) else str(value))
