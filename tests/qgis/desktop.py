# SPDX-License-Identifier: GPL-2.0-or-later
"""Opens the dialog of a method in QGIS Desktop, runs it on the demo scene, and keeps pictures: `tests/qgis/run --desktop`."""

import os
import subprocess
import traceback
from pathlib import Path

import processing
from qgis.core import QgsApplication, QgsMultiBandColorRenderer, QgsProject, QgsRasterLayer
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtWidgets import QScrollArea, QWidget
from qgis.utils import iface, loadPlugin, startPlugin, updateAvailablePlugins

PICTURES = Path(os.environ["STFUSION_PICTURES"])
METHOD, LABEL = os.environ.get("STFUSION_METHOD", "starfm,STARFM").split(",")
PAIR_DAY, TARGET_DAY = "2022-05-09", "2022-07-12"


def picture(name):
    """Keep a picture of the whole screen."""
    QgsApplication.processEvents()
    QgsApplication.primaryScreen().grabWindow(0).save(str(PICTURES / f"{name}.png"))


def steps():
    """Do one thing after the other; each `yield` says how many seconds to wait."""
    updateAvailablePlugins()
    if not (loadPlugin("stfusion") and startPlugin("stfusion")):
        raise RuntimeError("the plugin does not start")
    iface.mainWindow().showNormal()
    iface.mainWindow().setGeometry(0, 0, 1400, 900)
    demo = PICTURES / "demo"
    subprocess.run([os.environ["STFUSION_COMMAND"], "demo", str(demo), "--size", "720", "--overwrite", "-q"], check=True)
    names = {"fine": f"fine_{PAIR_DAY}", "coarse": f"coarse_{PAIR_DAY}", "target": f"coarse_{TARGET_DAY}"}
    layers = {role: QgsRasterLayer(str(demo / f"{name}.tif"), name) for role, name in names.items()}
    QgsProject.instance().addMapLayers(layers.values())
    for layer in layers.values():
        # near infrared, red, green: vegetation is red
        layer.setRenderer(QgsMultiBandColorRenderer(layer.dataProvider(), 4, 3, 2))
        layer.setDefaultContrastEnhancement()
        iface.layerTreeView().setExpanded(
            iface.layerTreeView().node2index(QgsProject.instance().layerTreeRoot().findLayer(layer)), False
        )
    QgsProject.instance().setCrs(layers["fine"].crs())
    iface.setActiveLayer(layers["fine"])
    iface.zoomToActiveLayer()
    yield 3
    picture("inputs")
    parameters = {"INPUT": layers["fine"].id(), "COARSE": layers["coarse"].id(), "COARSE_TARGET": layers["target"].id()}
    parameters.update(SUPPORT="TEMPORARY_OUTPUT", FINE_MASK=str(demo / f"fine_{PAIR_DAY}_qa.tif"), FINE_MASK_PRESET="landsat_c2")
    dialog = processing.createAlgorithmDialog("stfusion:" + METHOD, parameters)
    dialog.resize(1150, 760)
    dialog.move(20, 20)
    dialog.show()
    yield 3
    picture("dialog")
    dialog.findChild(QWidget, "grpAdvanced").setProperty("collapsed", False)
    yield 1
    bar = dialog.mainWidget().findChild(QScrollArea).verticalScrollBar()
    for page in range(1, 4):
        bar.setValue(min(bar.maximum(), bar.pageStep() * page))
        yield 1
        picture(f"advanced{page}")
    dialog.runButton().click()
    for _ in range(100):
        yield 0.3
        if len(QgsProject.instance().mapLayers()) >= 5:
            break
    yield 2
    picture("log")
    dialog.close()
    titles = {layer.name(): layer for layer in QgsProject.instance().mapLayers().values()}
    prediction, support = titles[f"{LABEL} {TARGET_DAY}"], titles[f"Support of {LABEL} {TARGET_DAY}"]
    if prediction.renderer().type() != layers["fine"].renderer().type() or not prediction.temporalProperties().isActive():
        raise RuntimeError("the prediction has neither the fine image's style nor a temporal range")
    for shown, name in ((prediction, "prediction"), (support, "support")):
        root = QgsProject.instance().layerTreeRoot()
        for node in root.findLayers():
            node.setItemVisibilityChecked(node.layer() is shown)
        iface.setActiveLayer(shown)
        iface.zoomToActiveLayer()
        yield 3
        picture(name)
    yield None


def advance(work):
    """Do the next step, and say at the end how it went."""
    try:
        wait = next(work)
        verdict = "passed: dialog, run, result layers; pictures in " + str(PICTURES) if wait is None else None
    except BaseException:  # noqa: BLE001
        wait, verdict = None, "failed:\n" + traceback.format_exc()
        picture("failure")
    if verdict is None:
        QTimer.singleShot(int(1000 * wait), lambda: advance(work))
        return
    (PICTURES / "result.txt").write_text(verdict + "\n")
    # QGIS would ask whether to save the project
    os._exit(0)


QTimer.singleShot(2000, lambda: advance(steps()))
