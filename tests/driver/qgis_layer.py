# SPDX-License-Identifier: MIT OR Apache-2.0
"""A job file as a layer of QGIS: rendered near and from afar, as the file that `fuse` wrote is. Prints TAP."""

import sys
from pathlib import Path

from qgis.core import QgsApplication, QgsMapRendererParallelJob, QgsMapSettings, QgsMultiBandColorRenderer, QgsRasterLayer
from qgis.core import QgsContrastEnhancement
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor


def report(what, good, *details):
    print(f"{'ok' if good else 'not ok'} - {what}", *details)


def layer_of(path):
    """Return the raster as a layer in true colours, with fixed limits so that both layers look alike."""
    layer = QgsRasterLayer(path, Path(path).name, "gdal")
    if not layer.isValid():
        return layer
    renderer = QgsMultiBandColorRenderer(layer.dataProvider(), 4, 3, 2)
    for band, use in (
        (4, renderer.setRedContrastEnhancement),
        (3, renderer.setGreenContrastEnhancement),
        (2, renderer.setBlueContrastEnhancement),
    ):
        stretch = QgsContrastEnhancement(layer.dataProvider().dataType(band))
        stretch.setContrastEnhancementAlgorithm(QgsContrastEnhancement.ContrastEnhancementAlgorithm.StretchToMinimumMaximum)
        stretch.setMinimumValue(0)
        stretch.setMaximumValue(0.5)
        use(stretch)
    layer.setRenderer(renderer)
    return layer


def picture(layer, extent, side):
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(layer.crs())
    settings.setExtent(extent)
    settings.setOutputSize(QSize(side, side))
    settings.setBackgroundColor(QColor("white"))
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    return job.renderedImage()


def difference(a, b):
    """Return the mean difference of a colour channel, and how many colours the first picture has."""
    total, colours = 0, set()
    for y in range(a.height()):
        for x in range(a.width()):
            p, q = a.pixelColor(x, y), b.pixelColor(x, y)
            total += abs(p.red() - q.red()) + abs(p.green() - q.green()) + abs(p.blue() - q.blue())
            colours.add(p.rgb())
    return total / (3 * a.height() * a.width()), len(colours)


def main():
    work, job, fused = sys.argv[1:]
    application = QgsApplication([], False)
    application.initQgis()
    virtual, written = layer_of(job), layer_of(fused)
    report("the job is a valid layer", virtual.isValid())
    report(
        "with the bands of the prediction",
        [virtual.bandName(n) for n in (1, 4)] == [written.bandName(n) for n in (1, 4)],
        virtual.bandName(1),
    )
    report("on its extent and in its CRS", virtual.extent() == written.extent() and virtual.crs() == written.crs())
    report("and its scale", virtual.dataProvider().bandScale(1) == written.dataProvider().bandScale(1))
    near = written.extent().scaled(0.3)
    a, b = picture(virtual, near, 210), picture(written, near, 210)
    a.save(str(Path(work) / "near.png"))
    mean, colours = difference(a, b)
    report("rendered near it is the same picture", mean == 0 and colours > 100, mean, colours)
    a, b = picture(virtual, written.extent(), 175), picture(written, written.extent(), 175)
    a.save(str(Path(work) / "far.png"))
    mean, colours = difference(a, b)
    report("rendered from afar it is about the same", mean < 8 and colours > 100, mean, colours)
    support = QgsRasterLayer(f"STFUSION:support:{job}", "support", "gdal")
    report("the support layer is a layer too", support.isValid() and support.bandCount() == 5)
    sys.stdout.flush()
    del virtual, written, support
    application.exitQgis()


main()
