# SPDX-License-Identifier: GPL-2.0-or-later
"""What the algorithms have in common: the library they need, images as names, progress and log."""

from pathlib import Path

from qgis.core import QgsProcessingAlgorithm, QgsProcessingException, QgsRasterLayer
from qgis.PyQt.QtGui import QIcon

from .. import settings
from ..abi import Cancelled, Error
from ..dates import iso_date
from ..i18n import tr
from ..parameters import name_of, read

ICON = str(Path(__file__).resolve().parents[1] / "icon.svg")
WARNING, INFORMATION = 1, 2


class Refused(Exception):
    """A parameter value that cannot be used; the text is what people read."""


class StfusionAlgorithm(QgsProcessingAlgorithm):
    """An algorithm that calls the library."""

    def icon(self):
        return QIcon(ICON)

    def svgIconPath(self):
        return ICON

    def canExecute(self):
        problem = settings.search().problem
        return (True, "") if problem is None else (False, str(problem))

    def library(self):
        """Return the library, or stop the algorithm with the sentence that says what to do."""
        found = settings.search()
        if found.problem is not None:
            raise QgsProcessingException(str(found.problem))
        return found.library

    def label_of(self, name):
        """Return the label of a parameter, for messages."""
        return self.parameterDefinition(name).description()

    def raster(self, parameters, name, context):
        """Return the layer of a raster parameter, or None when none is given or it cannot be opened."""
        raw = parameters.get(name)
        if raw is None or raw == "":
            return None
        layer = self.parameterAsRasterLayer(parameters, name, context)
        if layer is None and isinstance(raw, str):
            # Processing opens only names of files that exist, the provider also /vsizip/..., NETCDF:... and the like
            layer = QgsRasterLayer(raw, raw, "gdal")
        return layer if layer is not None and layer.isValid() else None

    def image_name(self, parameters, name, context):
        """Return the name GDAL knows the raster of a parameter by, or None when none is given."""
        raw = parameters.get(name)
        if raw is None or raw == "":
            return None
        layer = self.raster(parameters, name, context)
        if layer is None:
            return raw if isinstance(raw, str) else self.parameterAsString(parameters, name, context)
        if layer.providerType() != "gdal":
            raise Refused(
                tr(
                    "{label}: layer {layer} comes from the provider {provider}, but stfusion reads rasters that GDAL opens; "
                    "export the layer to a GeoTIFF first"
                ).format(label=self.label_of(name), layer=layer.name(), provider=layer.providerType())
            )
        # a layer's source may carry options of QGIS after a bar: file.tif|option:OVERVIEW_LEVEL=1
        return layer.source().split("|")[0]

    def day(self, parameters, name, context):
        """Return the date of a parameter as `YYYY-MM-DD`, or None when it is left empty."""
        raw = parameters.get(name)
        if raw is not None and not isinstance(raw, (str, int, float)) and not hasattr(raw, "isNull"):
            raw = self.parameterAsString(parameters, name, context)
        try:
            return iso_date(raw)
        except ValueError as error:
            raise Refused(f"{self.label_of(name)}: {error}") from error

    def choice(self, parameters, name, context):
        """Return the id of an enumeration's value."""
        raw = parameters.get(name)
        return raw if isinstance(raw, str) else self.parameterAsEnumString(parameters, name, context)

    def band_numbers(self, parameters, name, context):
        """Return the numbers of bands, counted from 1, of a parameter; none when it is left empty."""
        raw = parameters.get(name)
        if raw is None or raw == "":
            return []
        items = raw if isinstance(raw, (list, tuple)) else str(raw).replace(",", ";").split(";")
        try:
            numbers = [int(str(item).strip()) for item in items if str(item).strip()]
        except ValueError:
            numbers = [0]
        if any(n < 1 for n in numbers):
            raise Refused(
                tr("{label} must be numbers of bands, counted from 1; got {raw}").format(label=self.label_of(name), raw=raw)
            )
        return numbers

    def values_by_id(self, specs, parameters, context):
        """Return the values of parameters of the specification that differ from their default."""
        out = {}
        for spec in specs:
            name = name_of(spec)
            raw = parameters.get(name)
            if spec["kind"] == "new_file":
                # a destination may be a name, a temporary file, or nothing
                raw = self.parameterAsFileOutput(parameters, name, context) if raw else None
            elif raw is not None and not isinstance(raw, (str, bool, int, float, list, tuple)):
                # an expression or a data-defined value
                raw = self.parameterAsString(parameters, name, context)
            value = read(spec, raw)
            if value is not None and value != spec["default"]:
                out[spec["id"]] = value
        return out

    def check_images(self, names, parameters, context):
        """Return the parameters with layers for `names`; raise Refused, in the library's words, for one that cannot be opened."""
        checked = dict(parameters)
        for name in names:
            image = self.image_name(parameters, name, context) if self.parameterDefinition(name) is not None else None
            if image is None:
                continue
            checked[name] = self.raster(parameters, name, context)
            if checked[name] is None:
                raise Refused(f"{self.label_of(name)}: {_why_not_opened(image)}")
        return checked

    def call(self, function, request, feedback):
        """Run a function of the library with progress and log in `feedback`; None when the user cancelled."""
        last_text = [None]

        def progress(fraction, message):
            if message and message != last_text[0]:
                last_text[0] = message
                feedback.setProgressText(message)
            feedback.setProgress(100 * fraction)
            return not feedback.isCanceled()

        def log(level, message):
            if level <= WARNING:
                feedback.pushWarning(message)
            elif level == INFORMATION:
                feedback.pushInfo(message)
            else:
                feedback.pushDebugInfo(message)

        try:
            return function(request, progress, log)
        except Cancelled:
            feedback.pushInfo(tr("Cancelled: nothing was written."))
            return None
        except Error as error:
            raise QgsProcessingException(str(error)) from error


def _why_not_opened(image):
    found = settings.search()
    if found.problem is None:
        try:
            found.library.image_info(image)
        except (Error, ValueError) as error:
            return str(error)
    return tr("{image} cannot be opened as a raster layer").format(image=image)
