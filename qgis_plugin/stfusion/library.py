# SPDX-License-Identifier: GPL-2.0-or-later
"""The stfusion library through its C ABI: where it is searched, why it cannot be used, and the calls the plugin makes.

    search:  plugin setting -> STFUSION_LIBRARY -> lib/<os>-<arch>/ beside this file -> system library path -> QGIS prefix

The first two are choices of the user: what they name is used or reported, never skipped. This file knows nothing of QGIS.
"""

import ctypes
import json
import os
import platform
import struct
import sys
from collections import deque
from pathlib import Path

ENVIRONMENT = "STFUSION_LIBRARY"
CANCELLED = 11

NOT_FOUND = "not found"
NOT_A_LIBRARY = "not a library"
WRONG_ARCHITECTURE = "wrong architecture"
NOT_LOADABLE = "not loadable"
NOT_STFUSION = "not stfusion"
WRONG_VERSION = "wrong version"
NO_GDAL = "no GDAL"

_ELF_MACHINES = {3: "x86", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
_PE_MACHINES = {0x14C: "x86", 0x8664: "x86_64", 0xAA64: "aarch64"}
_MACH_MACHINES = {0x01000007: "x86_64", 0x0100000C: "aarch64"}

_PROGRESS = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_double, ctypes.c_char_p, ctypes.c_void_p)
_LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


class LibraryUnusable(Exception):
    """The library cannot be used; `kind` is one of the constants above, the text one sentence that says what to do."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


class StfusionError(Exception):
    """A call failed: the library's message, its hint (may be empty) and status number."""

    def __init__(self, status, message, hint):
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint

    def text(self):
        """Message and hint as people read them."""
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class Cancelled(Exception):
    """The user stopped the run."""


def architecture():
    """Return the processor architecture of this process, spelled as in `lib/<os>-<arch>`."""
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64", "i386": "x86", "i686": "x86"}.get(machine, machine)


def operating_system():
    """Return `linux`, `macos` or `windows`."""
    return {"darwin": "macos", "win32": "windows"}.get(sys.platform, "linux")


def file_names(abi):
    """Return the names the library may have, the most precise first."""
    return {
        "macos": [f"libstfusion.{abi}.dylib", "libstfusion.dylib"],
        "windows": [f"stfusion-{abi}.dll", "stfusion.dll", "libstfusion.dll"],
        "linux": [f"libstfusion.so.{abi}", "libstfusion.so"],
    }[operating_system()]


def binary_architecture(path):
    """Return the architecture a shared library was built for, or None when the file is not one for this system."""
    with open(path, "rb") as file:
        head = file.read(4096)
    system = operating_system()
    if system == "linux" and head[:4] == b"\x7fELF" and len(head) >= 20:
        order = "<" if head[5] == 1 else ">"
        machine = struct.unpack(order + "H", head[18:20])[0]
        return _ELF_MACHINES.get(machine, f"processor number {machine}")
    if system == "windows" and head[:2] == b"MZ" and len(head) >= 64:
        at = struct.unpack("<I", head[60:64])[0]
        if head[at : at + 4] == b"PE\0\0" and len(head) >= at + 6:
            machine = struct.unpack("<H", head[at + 4 : at + 6])[0]
            return _PE_MACHINES.get(machine, f"processor number {machine}")
    if system == "macos" and head[:4] == b"\xcf\xfa\xed\xfe":
        machine = struct.unpack("<I", head[4:8])[0]
        return _MACH_MACHINES.get(machine, f"processor number {machine}")
    if system == "macos" and head[:4] == b"\xca\xfe\xba\xbe":
        return architecture()
    return None


def is_complete(path):
    """Return whether an ELF library has all the bytes its headers promise: the loader crashes on one cut short by a download."""
    with open(path, "rb") as file:
        head = file.read(64)
    if head[:4] != b"\x7fELF" or len(head) < 64 or head[4] != 2:
        return True
    order = "<" if head[5] == 1 else ">"
    table, entry_size, entries = struct.unpack(order + "Q", head[40:48])[0], *struct.unpack(order + "HH", head[58:62])
    return os.path.getsize(path) >= table + entry_size * entries


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
        except StfusionError as error:
            self.problem = LibraryUnusable(NOT_STFUSION, f"{self.library.path} does not work: {error.text()}")

    def _find(self, setting, prefixes, folder):
        for origin, value in (("plugin setting", setting), (ENVIRONMENT, os.environ.get(ENVIRONMENT, ""))):
            if not value:
                self.log.append(f"{origin}: not set")
                continue
            path = self._in_folder(Path(value)) if os.path.isdir(value) else Path(value)
            if path is None or not path.is_file():
                self.log.append(f"{origin}: {value}: no such file")
                where = "is a folder without the library" if path is None else "does not exist"
                raise LibraryUnusable(
                    NOT_FOUND,
                    f"The stfusion library was not found: {value}, given by the {origin}, {where}; correct or remove it.",
                )
            return self._open(path, origin)
        beside = folder / "lib" / f"{operating_system()}-{architecture()}"
        path = self._in_folder(beside)
        if path is not None:
            return self._open(path, "next to the plugin")
        self.log.append(f"next to the plugin: nothing in {beside}")
        library = self._on_system_path()
        if library is not None:
            return library
        for prefix in prefixes:
            for candidate in (Path(prefix) / "lib", Path(prefix) / "bin", Path(prefix)):
                path = self._in_folder(candidate)
                if path is not None:
                    return self._open(path, "QGIS prefix")
            self.log.append(f"QGIS prefix: nothing in {prefix}")
        raise LibraryUnusable(
            NOT_FOUND,
            "The stfusion library was not found: install it, or give its path in Settings > Options > Processing > Providers > "
            f"stfusion or in the environment variable {ENVIRONMENT}.",
        )

    def _in_folder(self, folder):
        for name in file_names(self.abi):
            if (folder / name).is_file():
                return folder / name
        return None

    def _on_system_path(self):
        for name in file_names(self.abi):
            try:
                handle = ctypes.CDLL(name)
            except OSError as error:
                if "cannot open shared object file" not in str(error) or not str(error).startswith(name):
                    self.log.append(f"system library path: {name}: {error}")
                continue
            return self._accept(handle, _path_of(handle) or name, "system library path")
        self.log.append(f"system library path: no {file_names(self.abi)[0]}")
        return None

    def _open(self, path, origin):
        built_for = binary_architecture(path)
        if built_for is None:
            self.log.append(f"{origin}: {path}: not a shared library")
            raise LibraryUnusable(
                NOT_A_LIBRARY, f"{path} is not a shared library of this system: give the path of {file_names(self.abi)[0]}."
            )
        if built_for != architecture():
            self.log.append(f"{origin}: {path}: built for {built_for}")
            raise LibraryUnusable(
                WRONG_ARCHITECTURE,
                f"{path} was built for {built_for}, but this QGIS runs on {architecture()}: "
                f"install the library for {architecture()}.",
            )
        if not is_complete(path):
            self.log.append(f"{origin}: {path}: cut short")
            raise LibraryUnusable(
                NOT_LOADABLE, f"{path} is incomplete ({os.path.getsize(path)} bytes): install or copy it again."
            )
        try:
            handle = ctypes.CDLL(str(path))
        except OSError as error:
            self.log.append(f"{origin}: {path}: {error}")
            raise LibraryUnusable(
                NOT_LOADABLE, f"{path} cannot be loaded ({error}): install the stfusion package made for this system."
            ) from error
        return self._accept(handle, str(path), origin)

    def _accept(self, handle, path, origin):
        try:
            found = _function(handle, "stf_abi_version", ctypes.c_uint32)()
            version = _function(handle, "stf_version", ctypes.c_char_p)().decode("utf-8", "replace")
        except AttributeError as error:
            self.log.append(f"{origin}: {path}: no function stf_abi_version")
            raise LibraryUnusable(
                NOT_STFUSION, f"{path} is not the stfusion library: give the path of {file_names(self.abi)[0]}."
            ) from error
        if found != self.abi:
            self.log.append(f"{origin}: {path}: ABI {found}")
            raise LibraryUnusable(
                WRONG_VERSION,
                f"{path} is stfusion {version} with ABI {found}, but this plugin needs ABI {self.abi}: "
                f"{'update the plugin' if found > self.abi else 'update the library'} so that both are of the same release.",
            )
        self.log.append(f"{origin}: {path}: used")
        try:
            return Library(handle, path, origin, version, found)
        except AttributeError as error:
            raise LibraryUnusable(
                NOT_STFUSION, f"{path} is not a complete stfusion library ({error}): install it again."
            ) from error


def _function(handle, name, result, *arguments):
    function = getattr(handle, name)
    function.restype = result
    function.argtypes = list(arguments)
    return function


class _DlInfo(ctypes.Structure):
    _fields_ = [
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    ]


def _path_of(handle):
    """Return the file a loaded library came from, where the system can tell."""
    try:
        dladdr = _function(ctypes.CDLL(None), "dladdr", ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_DlInfo))
        info = _DlInfo()
        if dladdr(ctypes.cast(handle.stf_abi_version, ctypes.c_void_p), ctypes.byref(info)) and info.file:
            return os.path.realpath(os.fsdecode(info.file))
    except (AttributeError, OSError, TypeError):
        return None
    return None


class Library:
    """A library that fits this plugin. Each call has a context of its own, so that runs do not disturb each other."""

    def __init__(self, handle, path, origin, version, abi):
        self.path = path
        self.origin = origin
        self.version = version
        self.abi = abi
        status, text, opaque = ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p
        out_text, out_opaque = ctypes.POINTER(ctypes.c_char_p), ctypes.POINTER(ctypes.c_void_p)
        self._context_create = _function(handle, "stf_context_create", status, out_opaque)
        self._context_destroy = _function(handle, "stf_context_destroy", None, opaque)
        self._set_progress = _function(handle, "stf_context_set_progress", status, opaque, _PROGRESS, opaque)
        self._set_log = _function(handle, "stf_context_set_log", status, opaque, _LOG, opaque)
        self._last_error = _function(handle, "stf_context_last_error", text, opaque)
        self._last_hint = _function(handle, "stf_context_last_hint", text, opaque)
        self._installation = _function(handle, "stf_installation_json", status, opaque, out_text)
        self._spec = _function(handle, "stf_spec_json", status, opaque, out_text)
        self._image_info = _function(handle, "stf_image_info_json", status, opaque, text, out_text)
        self._job_from_json = _function(handle, "stf_job_from_json", status, opaque, text, text, out_opaque)
        self._job_destroy = _function(handle, "stf_job_destroy", None, opaque)
        self._job_run = _function(handle, "stf_job_run", status, opaque, opaque, out_opaque)
        self._report_json = _function(handle, "stf_report_json", text, opaque)
        self._report_destroy = _function(handle, "stf_report_destroy", None, opaque)
        self._assess = _function(handle, "stf_assess_json", status, opaque, text, out_text)

    def installation(self):
        """Return what is installed, as the library describes it."""
        with _Run(self) as run:
            return run.json(self._installation)

    def spec(self):
        """Return the description of methods and options that this library was built with."""
        with _Run(self) as run:
            return run.json(self._spec)

    def image_info(self, name):
        """Return what the library knows of the image `name`; raise StfusionError when it cannot be opened."""
        with _Run(self) as run:
            return run.json(self._image_info, _encode(name))

    def check_job(self, job):
        """Raise StfusionError unless method, parameters and structure of `job` (a dict) are valid; no file is opened."""
        with _Run(self) as run:
            run.drop_job(run.job(job))

    def fuse(self, job, progress=None, log=None):
        """Run `job` (a dict) and return the report.

        `progress(fraction, message)` returns whether to go on; `log(level, message)` gets 1 warning, 2 information, 3 debug.
        Both are called on the calling thread only. Raises StfusionError, or Cancelled.
        """
        with _Run(self, progress, log) as run:
            handle = run.job(job)
            try:
                report = ctypes.c_void_p()
                run.check(self._job_run(run.context, handle, ctypes.byref(report)))
                try:
                    return json.loads(self._report_json(report).decode("utf-8"))
                finally:
                    self._report_destroy(report)
            finally:
                run.drop_job(handle)

    def assess(self, request, progress=None, log=None):
        """Assess a prediction as `request` (a dict) says and return the scores; arguments and errors as for `fuse`."""
        with _Run(self, progress, log) as run:
            return run.json(self._assess, _encode(json.dumps(request)))


class _Run:
    """A context of the library for the length of a `with` block, with its callbacks.

    The log callback may come from the library's worker threads: messages queue up there and are handed on when the
    progress callback, which comes on the calling thread, or the end of the run drains the queue.
    """

    def __init__(self, library, progress=None, log=None):
        self._library = library
        self._progress = progress
        self._log = log
        self._messages = deque()
        self._raised = None
        # ctypes keeps no reference to a callback that C code holds
        self._callbacks = (_PROGRESS(self._on_progress), _LOG(self._on_log))
        self.context = ctypes.c_void_p()

    def __enter__(self):
        self.check(self._library._context_create(ctypes.byref(self.context)))
        try:
            if self._progress is not None:
                self.check(self._library._set_progress(self.context, self._callbacks[0], None))
            if self._log is not None:
                self.check(self._library._set_log(self.context, self._callbacks[1], None))
        except StfusionError:
            self._library._context_destroy(self.context)
            raise
        return self

    def __exit__(self, kind, error, trace):
        self._library._context_destroy(self.context)
        self._drain()

    def _on_progress(self, fraction, message, _user):
        # an exception must not leave a callback: it is kept, the run is stopped, and `check` raises it again
        try:
            self._drain()
            return 1 if self._progress(fraction, (message or b"").decode("utf-8", "replace")) else 0
        except BaseException as error:  # noqa: B902
            self._raised = error
            return 0

    def _on_log(self, level, message, _user):
        self._messages.append((level, (message or b"").decode("utf-8", "replace")))

    def _drain(self):
        while self._log is not None and self._messages:
            self._log(*self._messages.popleft())

    def check(self, status):
        """Raise the error of the last call unless `status` is 0."""
        if self._raised is not None:
            raise self._raised
        if status == 0:
            return
        if status == CANCELLED:
            raise Cancelled()
        message, hint = "", ""
        if self.context:
            message = (self._library._last_error(self.context) or b"").decode("utf-8", "replace")
            hint = (self._library._last_hint(self.context) or b"").decode("utf-8", "replace")
        raise StfusionError(status, message or f"The stfusion library failed with status {status}", hint)

    def json(self, function, *arguments):
        """Call a function whose result is JSON text."""
        out = ctypes.c_char_p()
        self.check(function(self.context, *arguments, ctypes.byref(out)))
        return json.loads((out.value or b"null").decode("utf-8"))

    def job(self, job):
        """Make the library's job of a dict."""
        handle = ctypes.c_void_p()
        self.check(self._library._job_from_json(self.context, _encode(json.dumps(job)), None, ctypes.byref(handle)))
        return handle

    def drop_job(self, handle):
        """Free a job."""
        self._library._job_destroy(handle)


def _encode(text):
    return text.encode("utf-8", "surrogateescape")
