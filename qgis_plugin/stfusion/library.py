# SPDX-License-Identifier: GPL-2.0-or-later
"""The stfusion library for QGIS: where it is searched, why it cannot be used, and the calls the plugin makes.

    search:  plugin setting -> STFUSION_LIBRARY -> lib/<os>-<arch>/ beside this file -> system library path -> QGIS prefix

The first two are choices of the user: what they name is used or reported, never skipped. How a library is opened, checked and
called is in `abi.py`. This file knows nothing of QGIS.
"""

import json
import os
from pathlib import Path

from .abi import (
    NOT_FOUND,
    NOT_STFUSION,
    WRONG_ARCHITECTURE,
    WRONG_VERSION,
    Context,
    Error,
    LibraryUnusable,
    architecture,
    encode,
    file_in,
    file_names,
    open_library,
    open_on_system_path,
    operating_system,
)

ENVIRONMENT = "STFUSION_LIBRARY"

NO_GDAL = "no GDAL"


class Search:
    """One search for the library: `library` is what was found, `problem` why it cannot be used, `log` every place looked at."""

    def __init__(self, abi, setting="", prefixes=(), folder=None):
        """`abi`: the ABI number needed; `setting`: the path the user set; `prefixes`: folders of QGIS, searched last."""
        self.abi = abi
        self.log = []
        self.library = None
        self.problem = None
        try:
            self.library = self._find(setting, prefixes, Path(folder) if folder else Path(__file__).resolve().parent)
            if self.library.installation().get("gdal") is None:
                raise LibraryUnusable(
                    NO_GDAL,
                    f"{self.library.path} was built without GDAL and cannot read files: install the library built with GDAL.",
                )
        except LibraryUnusable as problem:
            self.problem = problem
        except Error as error:
            self.problem = LibraryUnusable(NOT_STFUSION, f"{self.library.path} does not work: {error}")

    def _find(self, setting, prefixes, folder):
        for origin, value in (("plugin setting", setting), (ENVIRONMENT, os.environ.get(ENVIRONMENT, ""))):
            if not value:
                self.log.append(f"{origin}: not set")
                continue
            path = file_in(value, self.abi) if os.path.isdir(value) else value
            if path is None or not os.path.isfile(path):
                self.log.append(f"{origin}: {value}: no such file")
                where = "is a folder without the library" if path is None else "does not exist"
                raise LibraryUnusable(
                    NOT_FOUND,
                    f"The stfusion library was not found: {value}, given by the {origin}, {where}; correct or remove it.",
                )
            return self._open(path, origin)
        beside = folder / "lib" / f"{operating_system()}-{architecture()}"
        path = file_in(beside, self.abi)
        if path is not None:
            return self._open(path, "next to the plugin")
        self.log.append(f"next to the plugin: nothing in {beside}")
        library = self._on_system_path()
        if library is not None:
            return library
        for prefix in prefixes:
            for candidate in (Path(prefix) / "lib", Path(prefix) / "bin", Path(prefix)):
                path = file_in(candidate, self.abi)
                if path is not None:
                    return self._open(path, "QGIS prefix")
            self.log.append(f"QGIS prefix: nothing in {prefix}")
        raise LibraryUnusable(
            NOT_FOUND,
            "The stfusion library was not found: install it, or give its path in Settings > Options > Processing > Providers > "
            f"stfusion or in the environment variable {ENVIRONMENT}.",
        )

    def _on_system_path(self):
        return self._opened("system library path", file_names(self.abi)[0], lambda: open_on_system_path(self.abi))

    def _open(self, path, origin):
        return self._opened(origin, path, lambda: open_library(path, self.abi))

    def _opened(self, origin, name, opening):
        try:
            functions = opening()
        except LibraryUnusable as problem:
            self.log.append(f"{origin}: {problem.facts.get('path', name)}: {problem.kind}")
            raise self._in_words_of_qgis(problem) from problem.__cause__
        if functions is None:
            self.log.append(f"{origin}: no {name}")
            return None
        self.log.append(f"{origin}: {functions.path}: used")
        return Library(functions, origin)

    def _in_words_of_qgis(self, problem):
        facts = problem.facts
        if problem.kind == WRONG_ARCHITECTURE:
            sentence = (
                f"{facts['path']} was built for {facts['built_for']}, but this QGIS runs on {architecture()}: "
                f"install the library for {architecture()}."
            )
        elif problem.kind == WRONG_VERSION:
            older = "the plugin" if facts["abi"] > self.abi else "the library"
            sentence = (
                f"{facts['path']} is stfusion {facts['version']} with ABI {facts['abi']}, but this plugin needs ABI {self.abi}: "
                f"update {older} so that both are of the same release."
            )
        else:
            return problem
        return LibraryUnusable(problem.kind, sentence, **facts)


class Library:
    """A library that fits this plugin. Each call has a context of its own, so that runs do not disturb each other."""

    def __init__(self, functions, origin):
        """`functions`: the library as `abi.py` opens it; `origin`: the place where it was found."""
        self.path = functions.path
        self.version = functions.version
        self.abi = functions.abi
        self.origin = origin
        self._functions = functions

    def installation(self):
        """Return what is installed, as the library describes it."""
        return self._json("stf_installation_json")

    def spec(self):
        """Return the description of methods and options that this library was built with."""
        return self._json("stf_spec_json")

    def image_info(self, name):
        """Return what the library knows of the image `name`; raise Error when it cannot be opened."""
        return self._json("stf_image_info_json", encode(name))

    def weights_info(self, name):
        """Return what the library knows of the weights file `name`; raise Error when it cannot be read."""
        return self._json("stf_weights_info_json", encode(name))

    def check_job(self, job):
        """Raise Error unless method, parameters and structure of `job` (a dict) are valid; no file is opened."""
        with Context(self._functions) as context, context.job(json.dumps(job)):
            pass

    def fuse(self, job, progress=None, log=None):
        """Run `job` (a dict) and return the report.

        `progress(fraction, message)` returns whether to go on; `log(level, message)` gets 1 warning, 2 information, 3 debug.
        Both are called on the calling thread only. Raises Error; of these, Cancelled when `progress` stopped it.
        """
        with Context(self._functions, progress, log) as context, context.job(json.dumps(job)) as made:
            return context.run(made)

    def assess(self, request, progress=None, log=None):
        """Assess a prediction as `request` (a dict) says and return the scores; arguments and errors as for `fuse`."""
        return self._json("stf_assess_json", encode(json.dumps(request)), progress=progress, log=log)

    def compare(self, job, options, progress=None, log=None):
        """Compare methods on the pairs of `job` as `options` say (dicts), and return the result; the rest as for `fuse`."""
        with Context(self._functions, progress, log) as context, context.job(json.dumps(job)) as made:
            return context.json("stf_job_compare_json", made, encode(json.dumps(options)))

    def _json(self, function, *arguments, progress=None, log=None):
        with Context(self._functions, progress, log) as context:
            return context.json(function, *arguments)
