# SPDX-License-Identifier: GPL-2.0-or-later
"""How results look when QGIS loads them: style of the fine image, target day as fixed temporal range, style of support layers."""

from pathlib import Path

from qgis.core import (
    QgsMapLayer,
    QgsMultiBandColorRenderer,
    QgsProcessingLayerPostProcessorInterface,
    QgsReadWriteContext,
    QgsSingleBandGrayRenderer,
    QgsSingleBandPseudoColorRenderer,
)
from qgis.PyQt.QtXml import QDomDocument

from . import compat

SUPPORT_STYLE = str(Path(__file__).resolve().parent / "styles" / "support.qml")
_LOOK = QgsMapLayer.StyleCategory.Symbology | QgsMapLayer.StyleCategory.Rendering

# Processing holds only the C++ side of a post-processor: the Python side must live until the layer is loaded
_waiting = []


class FineStyle:
    """The look of the fine image, taken on the main thread and given to a layer later."""

    def __init__(self, layer, bands):
        """`bands`: numbers of the fine bands that the prediction has, in its order; empty when it has all."""
        self._bands = list(bands)
        self._document = QDomDocument("qgis")
        self._error = layer.exportNamedStyle(self._document, QgsReadWriteContext(), _LOOK)
        renderer = layer.renderer()
        self._fits = (
            not self._error and renderer is not None and all(b in self._bands for b in renderer.usesBands() if self._bands)
        )

    def apply(self, layer):
        """Give `layer` this look, unless it shows bands that the layer does not have."""
        if not self._fits:
            return
        layer.importNamedStyle(self._document, _LOOK)
        if self._bands:
            self._renumber(layer.renderer())

    def _renumber(self, renderer):
        number = {fine: position for position, fine in enumerate(self._bands, start=1)}
        if isinstance(renderer, QgsMultiBandColorRenderer):
            renderer.setRedBand(number.get(renderer.redBand(), -1))
            renderer.setGreenBand(number.get(renderer.greenBand(), -1))
            renderer.setBlueBand(number.get(renderer.blueBand(), -1))
        elif isinstance(renderer, QgsSingleBandGrayRenderer):
            renderer.setGrayBand(number[renderer.grayBand()])
        elif isinstance(renderer, QgsSingleBandPseudoColorRenderer):
            renderer.setBand(number[renderer.band()])


class _PostProcessor(QgsProcessingLayerPostProcessorInterface):
    def __init__(self, day):
        super().__init__()
        self.day = day

    def postProcessLayer(self, layer, context, feedback):
        if isinstance(layer, QgsMapLayer) and layer.isValid():
            self.style(layer)
            if self.day:
                compat.set_day(layer, self.day)
            layer.triggerRepaint()
        if self in _waiting:
            _waiting.remove(self)

    def style(self, layer):
        """Give the layer its look."""


class Prediction(_PostProcessor):
    """A prediction: looks as the fine image does, so that both can be compared by eye."""

    def __init__(self, fine_style, day):
        super().__init__(day)
        self.fine_style = fine_style

    def style(self, layer):
        if self.fine_style is not None:
            self.fine_style.apply(layer)


class Support(_PostProcessor):
    """A support layer: the shipped style shows the number of similar pixels."""

    def style(self, layer):
        layer.loadNamedStyle(SUPPORT_STYLE)


def on_load(context, path, title, post_processor):
    """Have `post_processor` treat the layer `path`, named `title`, if Processing is going to load it."""
    if not context.willLoadLayerOnCompletion(path):
        return
    details = context.layerToLoadOnCompletionDetails(path)
    details.name = title
    _waiting.append(post_processor)
    details.setPostProcessor(post_processor)
