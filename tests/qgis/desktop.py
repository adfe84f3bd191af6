# SPDX-License-Identifier: GPL-2.0-or-later
"""Opens the dialog of STARFM in QGIS Desktop, runs it, and keeps pictures; run by `tests/qgis/run --desktop`."""

import os
import sys
import traceback
from pathlib import Path

import processing
from qgis.core import QgsApplication, QgsProject, QgsRasterLayer
from qgis.gui import QgsCollapsibleGroupBoxBasic
from qgis.PyQt.QtCore import QTimer
from qgis.utils import iface, loadPlugin, startPlugin, updateAvailablePlugins

sys.path.insert(0, os.environ["STFUSION_TESTS"])
from scene import TARGET_DAY, make_scene  # noqa: E402

PICTURES = Path(os.environ["STFUSION_PICTURES"])


def picture(name):
    """Keep a picture of the whole screen."""
    QgsApplication.processEvents()
    QgsApplication.primaryScreen().grabWindow(0).save(str(PICTURES / f"{name}.png"))


def steps():
    """Do one thing after the other; each `yield` says how many seconds to wait."""
    updateAvailablePlugins()
    if not (loadPlugin("stfusion") and startPlugin("stfusion")):
        raise RuntimeError("the plugin does not start")
    iface.mainWindow().resize(1400, 900)
    names = make_scene(PICTURES, 400)
    layers = {role: QgsRasterLayer(names[role], role) for role in ("coarse", "target", "fine")}
    QgsProject.instance().addMapLayers(layers.values())
    iface.setActiveLayer(layers["fine"])
    iface.zoomToActiveLayer()
    yield 3
    parameters = {"INPUT": layers["fine"].id(), "COARSE": layers["coarse"].id(), "COARSE_TARGET": layers["target"].id()}
    parameters.update(SUPPORT="TEMPORARY_OUTPUT", WINDOW=31)
    dialog = processing.createAlgorithmDialog("stfusion:starfm", parameters)
    dialog.resize(1150, 760)
    dialog.move(20, 20)
    dialog.show()
    yield 3
    picture("dialog")
    for group in dialog.findChildren(QgsCollapsibleGroupBoxBasic):
        group.setCollapsed(False)
    yield 2
    picture("advanced")
    dialog.runButton().click()
    for _ in range(100):
        yield 0.3
        if len(QgsProject.instance().mapLayers()) >= 5:
            break
    yield 2
    picture("log")
    dialog.close()
    titles = {layer.name(): layer for layer in QgsProject.instance().mapLayers().values()}
    prediction, support = titles[f"STARFM {TARGET_DAY}"], titles[f"Support of STARFM {TARGET_DAY}"]
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
