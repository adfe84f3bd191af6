# SPDX-License-Identifier: GPL-2.0-or-later
"""The plugin's one setting, the path of the library, and the library found with it."""

import os

from qgis.core import QgsApplication, QgsSettings

from . import specification
from .i18n import tr
from .library import ENVIRONMENT, Search

NAME = "STFUSION_LIBRARY"
GROUP = "stfusion"

_found = {}


def register(icon):
    """Show the setting in Settings > Options > Processing > Providers > stfusion."""
    from processing.core.ProcessingConfig import ProcessingConfig, Setting

    ProcessingConfig.settingIcons[GROUP] = icon
    ProcessingConfig.addSetting(
        Setting(GROUP, NAME, tr("Path of the stfusion library (empty: search for it)"), "", valuetype=Setting.FILE)
    )
    ProcessingConfig.readSettings()


def unregister():
    """Take the setting out of the options dialog; its value stays."""
    from processing.core.ProcessingConfig import ProcessingConfig

    ProcessingConfig.removeSetting(NAME)


def library_path():
    """Return the path the user set, or an empty text."""
    return str(QgsSettings().value(f"Processing/Configuration/{NAME}", "") or "").strip()


def search():
    """Return the search for the library, done again only when a choice of the user has changed or nothing was found."""
    key = (library_path(), os.environ.get(ENVIRONMENT, ""))
    if key not in _found or _found[key].library is None:
        prefixes = list(dict.fromkeys(p for p in (QgsApplication.prefixPath(), QgsApplication.libraryPath()) if p))
        _found.clear()
        _found[key] = Search(specification.load()["abi"], key[0], prefixes)
    return _found[key]
