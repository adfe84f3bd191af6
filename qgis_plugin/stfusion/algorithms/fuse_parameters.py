# SPDX-License-Identifier: GPL-2.0-or-later
"""The parameters of a fusion: images, dates and masks, which all methods share, around the method's own.

A dialog shows at first the images and dates of one pair, the target, and as many of the method's parameters as make eight.
"""

from qgis.core import (
    QgsProcessingParameterBand,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from .. import compat, specification
from ..i18n import tr
from ..parameters import advanced, definition

MOST_BASIC = 8
NO_PRESET = "nonzero"


def definitions(method):
    """Return the parameters of a method's algorithm in the order of its dialog."""
    most = method["max_pairs"]
    many, two = most is None or most >= 2, method["min_pairs"] >= 2
    own = [definition(spec) for spec in method["parameters"] if not spec["advanced"]]
    basic = [
        raster_parameter(
            "INPUT",
            tr("Fine image of the pair"),
            tr("The rare, sharp image, such as Landsat or Sentinel-2. The prediction gets its grid."),
            False,
        ),
        raster_parameter(
            "COARSE",
            tr("Coarse image of the pair"),
            tr("The frequent image, such as MODIS, of the same day, in any grid and projection."),
            False,
        ),
    ]
    second = [
        raster_parameter(
            "INPUT_2", tr("Fine image of the second pair"), tr("On the other side of the target date if possible."), not two
        ),
        raster_parameter("COARSE_2", tr("Coarse image of the second pair"), "", not two),
    ]
    date = date_parameter("DATE", tr("Date of the pair"))
    if two:
        basic += second
    else:
        basic.append(date)
    basic.append(
        raster_parameter(
            "COARSE_TARGET", tr("Coarse image of the target date"), tr("The coarse image of the day to predict."), False
        )
    )
    basic.append(date_parameter("DATE_TARGET", tr("Target date")))
    room = MOST_BASIC - len(basic) - 1
    more = [date] if two else []
    if many and not two:
        more += second
    if many:
        more.append(date_parameter("DATE_2", tr("Date of the second pair")))
    if most is None or most >= 3:
        more.append(scene_table_parameter(tr("Table of further pairs")))
    more += own[room:]
    more += [definition(spec) for spec in method["parameters"] if spec["advanced"]]
    more += _masks(many)
    more += _extra_images(method, many)
    more += _bands()
    more += [definition(spec) for spec in specification.load()["options"]]
    more.append(_creation_options())
    return basic + own[:room] + [advanced(parameter) for parameter in more] + _destinations()


def date_parameter(name, label):
    """Return an optional date; as text, so that it can stay empty in every version of QGIS and take a day of year."""
    parameter = QgsProcessingParameterString(name, tr("{label} (YYYY-MM-DD)").format(label=label), None, False, True)
    parameter.setHelp(
        tr(
            "If left empty: the day of the layer's fixed temporal range, else the date in the file's name or metadata. "
            "Written as YYYY-MM-DD, YYYYMMDD or YYYY-DDD (day of year)."
        )
    )
    return parameter


def raster_parameter(name, label, help_text="", optional=True):
    """Return a parameter for a raster layer."""
    parameter = QgsProcessingParameterRasterLayer(name, label, None, optional)
    parameter.setHelp(help_text)
    return parameter


def mask_preset_parameter(name, label, optional=False):
    """Return the choice of the product whose quality band a mask is."""
    presets = specification.mask_presets()
    meaning = " ".join(f"{p['id']}: {tr(p['label'])}." for p in presets)
    ids = [NO_PRESET] + [p["id"] for p in presets]
    parameter = QgsProcessingParameterEnum(name, label, ids, False, NO_PRESET, optional, usesStaticStrings=True)
    parameter.setHelp(tr("Which values of the mask are invalid. nonzero: every value other than 0.") + " " + meaning)
    return parameter


def _extra_images(method, many):
    images = []
    if method["accepts_classes"]:
        told = tr("One band of class numbers on the fine grid.")
        images.append(raster_parameter("CLASS_MAP", tr("Class map of the pair"), told))
        if many:
            images.append(raster_parameter("CLASS_MAP_2", tr("Class map of the second pair")))
    if method["accepts_objects"]:
        told = tr("One band of segment numbers on the fine grid. Without it the image is segmented.")
        images.append(raster_parameter("OBJECT_MAP", tr("Object map of the pair"), told))
        if many:
            images.append(raster_parameter("OBJECT_MAP_2", tr("Object map of the second pair")))
    if method["accepts_pan"]:
        told = tr("One band of the day of the pair, on the fine grid, for networks that ask for it.")
        images.append(raster_parameter("PAN", tr("Panchromatic image of the pair"), told))
        if many:
            images.append(raster_parameter("PAN_2", tr("Panchromatic image of the second pair")))
    return images


def scene_table_parameter(label):
    """Return the table of pairs."""
    table = QgsProcessingParameterFile("SCENE_TABLE", label, optional=True, fileFilter="CSV (*.csv *.txt)")
    table.setHelp(
        tr(
            "CSV with the columns role,date,path,mask,sensor, one row for each image. role is fine or coarse; the fine and the "
            "coarse image of one date make a pair. mask may be empty, sensor is the id of the mask's preset. Names are relative "
            "to the table."
        )
    )
    return table


def _masks(many):
    out = [raster_parameter("FINE_MASK", tr("Mask of the fine image"), tr("Quality band or mask on the fine image's grid."))]
    if many:
        out.append(raster_parameter("FINE_MASK_2", tr("Mask of the second fine image")))
    out.append(mask_preset_parameter("FINE_MASK_PRESET", tr("Meaning of the fine masks")))
    out.append(raster_parameter("COARSE_MASK", tr("Mask of the coarse image of the pair")))
    if many:
        out.append(raster_parameter("COARSE_MASK_2", tr("Mask of the second coarse image")))
    out.append(raster_parameter("COARSE_MASK_TARGET", tr("Mask of the coarse image of the target date")))
    out.append(mask_preset_parameter("COARSE_MASK_PRESET", tr("Meaning of the coarse masks")))
    dilation = QgsProcessingParameterNumber(
        "MASK_DILATION", tr("Grow masks by (mask pixels)"), QgsProcessingParameterNumber.Type.Integer, 0, False, 0, 1000
    )
    dilation.setHelp(tr("Cloud edges are rarely masked far enough: grow invalid areas by this many pixels of the mask."))
    return out + [dilation]


def _bands():
    fine = QgsProcessingParameterBand("FINE_BANDS", tr("Bands of the fine image"), None, "INPUT", True, True)
    fine.setHelp(tr("Bands to predict, in the order of the result. If left empty: all."))
    coarse = QgsProcessingParameterBand("COARSE_BANDS", tr("Matching bands of the coarse images"), None, "COARSE", True, True)
    coarse.setHelp(
        tr(
            "For each band of the fine image the coarse band of the same wavelength, in the same order. If both are left empty: "
            "by wavelength where both images know it, else by order. MODIS orders its bands differently (red, near infrared, "
            "blue, green, ...)."
        )
    )
    return [fine, coarse]


def _creation_options():
    parameter = compat.creation_options_parameter("CREATION_OPTIONS", tr("Creation options"))
    parameter.setHelp(tr("GDAL creation options of the output, KEY=VALUE separated by |. If left empty: tiled and compressed."))
    return parameter


def _destinations():
    output = QgsProcessingParameterRasterDestination("OUTPUT", tr("Prediction"))
    output.setHelp(tr("The predicted fine image: grid, bands, type, scale, offset and nodata of the fine image. A GeoTIFF."))
    support = QgsProcessingParameterRasterDestination("SUPPORT", tr("Support layer"), None, True, False)
    support.setHelp(
        tr(
            "What the prediction stands on, pixel by pixel: number of similar pixels, valid fraction, days to the nearest pair, "
            "extrapolated or not."
        )
    )
    return [output, advanced(support)]
