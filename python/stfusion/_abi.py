# SPDX-License-Identifier: MIT OR Apache-2.0
"""The C ABI of stfusion through ctypes: prototypes, structures, opening the library, calls in a context.

    open_library(path) ──> Library   checked: kind of file, processor, ABI, every function
    Context(library)   ──> calls     a failure becomes an Error; no exception is lost in a callback

Where the library is searched is the affair of those who use this file (the Python package, the QGIS plugin). It needs the
standard library alone, from Python 3.9 on.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import struct
import sys
from collections import deque

ABI = 0
"""The ABI that the prototypes below describe."""

STATUS_CANCELLED = 11

DTYPES = {"u1": 1, "u2": 2, "i2": 3, "u4": 4, "i4": 5, "f4": 6, "f8": 7, "i1": 14}
"""`stf_dtype` by kind and size in bytes, as the array interface spells them."""

NOT_FOUND = "not found"
NOT_A_LIBRARY = "not a library"
WRONG_ARCHITECTURE = "wrong architecture"
NOT_LOADABLE = "not loadable"
NOT_STFUSION = "not stfusion"
WRONG_VERSION = "wrong version"

_ELF_MACHINES = {3: "x86", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
_PE_MACHINES = {0x14C: "x86", 0x8664: "x86_64", 0xAA64: "aarch64"}
_MACH_MACHINES = {0x01000007: "x86_64", 0x0100000C: "aarch64"}

Progress = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_double, ctypes.c_char_p, ctypes.c_void_p)
Log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


class Image(ctypes.Structure):
    """`stf_image`: an image in memory, order (band, row, col), strides in bytes."""

    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        ("bands", ctypes.c_size_t),
        ("rows", ctypes.c_size_t),
        ("cols", ctypes.c_size_t),
        ("band_stride", ctypes.c_ssize_t),
        ("row_stride", ctypes.c_ssize_t),
        ("col_stride", ctypes.c_ssize_t),
        ("nodata", ctypes.c_double),
        ("has_nodata", ctypes.c_int32),
        ("scale", ctypes.c_double),
        ("offset", ctypes.c_double),
        ("mask", ctypes.c_void_p),
        ("mask_row_stride", ctypes.c_ssize_t),
        ("mask_col_stride", ctypes.c_ssize_t),
        ("transfer", ctypes.c_void_p),
        ("user", ctypes.c_void_p),
    ]


_int, _status, _text, _opaque = ctypes.c_int32, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p
_sizes, _floats = ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_float)
_texts, _opaques, _images = ctypes.POINTER(ctypes.c_char_p), ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(Image)

PROTOTYPES = {
    "stf_abi_version": (ctypes.c_uint32, ()),
    "stf_version": (_text, ()),
    "stf_status_name": (_text, (_int,)),
    "stf_context_create": (_status, (_opaques,)),
    "stf_context_destroy": (None, (_opaque,)),
    "stf_context_set_threads": (_status, (_opaque, _int)),
    "stf_context_set_memory": (_status, (_opaque, ctypes.c_uint64)),
    "stf_context_set_progress": (_status, (_opaque, Progress, _opaque)),
    "stf_context_set_log": (_status, (_opaque, Log, _opaque)),
    "stf_context_last_error": (_text, (_opaque,)),
    "stf_context_last_hint": (_text, (_opaque,)),
    "stf_spec_json": (_status, (_opaque, _texts)),
    "stf_methods_json": (_status, (_opaque, _texts)),
    "stf_job_schema_json": (_status, (_opaque, _texts)),
    "stf_devices_json": (_status, (_opaque, _texts)),
    "stf_installation_json": (_status, (_opaque, _texts)),
    "stf_image_init": (_status, (_opaque, _int, *[ctypes.c_size_t] * 4, _images)),
    "stf_job_create": (_status, (_opaque, _text, _opaques)),
    "stf_job_from_json": (_status, (_opaque, _text, _text, _opaques)),
    "stf_job_from_file": (_status, (_opaque, _text, _opaques)),
    "stf_job_destroy": (None, (_opaque,)),
    "stf_job_set_int": (_status, (_opaque, _opaque, _text, ctypes.c_int64)),
    "stf_job_set_double": (_status, (_opaque, _opaque, _text, ctypes.c_double)),
    "stf_job_set_bool": (_status, (_opaque, _opaque, _text, _int)),
    "stf_job_set_string": (_status, (_opaque, _opaque, _text, _text)),
    "stf_job_set_contents": (_status, (_opaque, _opaque, _text, _opaque, ctypes.c_size_t)),
    "stf_job_add_pair": (_status, (_opaque, _opaque, _text, _text, _text)),
    "stf_job_set_pair_mask": (_status, (_opaque, _opaque, ctypes.c_size_t, _int, _text, _text)),
    "stf_job_set_pair_classes": (_status, (_opaque, _opaque, ctypes.c_size_t, _text)),
    "stf_job_set_pair_objects": (_status, (_opaque, _opaque, ctypes.c_size_t, _text)),
    "stf_job_set_pair_pan": (_status, (_opaque, _opaque, ctypes.c_size_t, _text)),
    "stf_job_set_target": (_status, (_opaque, _opaque, _text, _text)),
    "stf_job_set_target_mask": (_status, (_opaque, _opaque, _text, _text)),
    "stf_job_to_json": (_status, (_opaque, _opaque, _texts)),
    "stf_job_add_pair_image": (_status, (_opaque, _opaque, _text, _images, _images)),
    "stf_job_set_pair_class_image": (_status, (_opaque, _opaque, ctypes.c_size_t, _images)),
    "stf_job_set_pair_object_image": (_status, (_opaque, _opaque, ctypes.c_size_t, _images)),
    "stf_job_set_pair_pan_image": (_status, (_opaque, _opaque, ctypes.c_size_t, _images)),
    "stf_job_set_target_image": (_status, (_opaque, _opaque, _text, _images)),
    "stf_job_run": (_status, (_opaque, _opaque, _opaques)),
    "stf_job_run_image": (_status, (_opaque, _opaque, _images, _images, _opaques)),
    "stf_job_inspect_json": (_status, (_opaque, _opaque, _texts)),
    "stf_image_info_json": (_status, (_opaque, _text, _texts)),
    "stf_weights_info_json": (_status, (_opaque, _text, _texts)),
    "stf_assess_json": (_status, (_opaque, _text, _texts)),
    "stf_job_compare_json": (_status, (_opaque, _opaque, _text, _texts)),
    "stf_report_json": (_text, (_opaque,)),
    "stf_report_destroy": (None, (_opaque,)),
    "stf_arrays_create": (_status, (_opaque, _opaques)),
    "stf_arrays_destroy": (None, (_opaque,)),
    "stf_arrays_add": (_status, (_opaque, _opaque, _text, _sizes, ctypes.c_size_t, _floats)),
    "stf_arrays_count": (ctypes.c_size_t, (_opaque,)),
    "stf_arrays_get": (
        _status,
        (_opaque, _opaque, ctypes.c_size_t, _texts, ctypes.POINTER(_sizes), _sizes, ctypes.POINTER(_floats)),
    ),
    "stf_infer": (_status, (_opaque, _text, _opaque, ctypes.c_size_t, _text, _opaque, _opaques)),
}
"""Result and arguments of every function of `stfusion.h`."""


class LibraryUnusable(Exception):
    """The library cannot be used; `kind` is one of the constants above, `message` one sentence that says what to do.

    `facts` are for those who say it in words of their own: `path` of the file that was opened; `built_for` of a wrong
    architecture; `version` and `abi` of a library of the wrong version.
    """

    def __init__(self, kind, message, **facts):
        super().__init__(kind, message)
        self.kind = kind
        self.message = message
        self.facts = facts

    def __str__(self):
        return self.message


class Error(Exception):
    """A call of the library failed.

    `status` is the number of `stf_status`, `message` says what is wrong, where, which value, and what was expected; `hint`
    says what to do about it, and may be empty.
    """

    def __init__(self, status, message, hint=""):
        # all three are arguments of the exception, so that it survives pickling between processes
        super().__init__(status, message, hint)
        self.status = status
        self.message = message
        self.hint = hint

    def __str__(self):
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class Cancelled(Error):
    """The run was stopped by its progress function."""

    def __init__(self, status=STATUS_CANCELLED, message="Cancelled", hint=""):
        super().__init__(status, message, hint)


def architecture():
    """Return the processor architecture of this process, spelled as in `lib/<os>-<arch>`."""
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64", "i386": "x86", "i686": "x86"}.get(machine, machine)
    if struct.calcsize("P") == 4:
        return {"x86_64": "x86", "aarch64": "arm"}.get(machine, machine)
    return machine


def operating_system():
    """Return `linux`, `macos` or `windows`."""
    return {"darwin": "macos", "win32": "windows"}.get(sys.platform, "linux")


def file_names(abi=ABI):
    """Return the names the library may have, the most precise first."""
    return {
        "macos": [f"libstfusion.{abi}.dylib", "libstfusion.dylib"],
        "windows": [f"stfusion-{abi}.dll", "stfusion.dll", "libstfusion.dll"],
        "linux": [f"libstfusion.so.{abi}", "libstfusion.so"],
    }[operating_system()]


def file_in(folder, abi=ABI):
    """Return the library's file in `folder`, or None."""
    for name in file_names(abi):
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            return path
    return None


def binary_architecture(path):
    """Return the architecture a shared library was built for, or None when the file is not one for this system.

    Raises OSError when the file cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(4096)
    system = operating_system()
    if system == "linux" and head[:4] == b"\x7fELF" and len(head) >= 20:
        machine = struct.unpack(("<" if head[5] == 1 else ">") + "H", head[18:20])[0]
        return _ELF_MACHINES.get(machine, f"processor number {machine}")
    if system == "windows" and head[:2] == b"MZ" and len(head) >= 64:
        at = struct.unpack("<I", head[60:64])[0]
        if head[at : at + 4] == b"PE\0\0" and len(head) >= at + 6:
            machine = struct.unpack("<H", head[at + 4 : at + 6])[0]
            return _PE_MACHINES.get(machine, f"processor number {machine}")
    if system == "macos" and head[:4] == b"\xcf\xfa\xed\xfe" and len(head) >= 8:
        machine = struct.unpack("<I", head[4:8])[0]
        return _MACH_MACHINES.get(machine, f"processor number {machine}")
    if system == "macos" and head[:4] == b"\xca\xfe\xba\xbe":
        return architecture()
    return None


def is_cut_off(path):
    """Return whether a 64 bit ELF file is shorter than its header says; the loader would crash on it rather than fail."""
    with open(path, "rb") as file:
        head = file.read(64)
    if head[:5] != b"\x7fELF\x02" or len(head) < 64:
        return False
    order = "<" if head[5] == 1 else ">"
    sections = struct.unpack(order + "Q", head[40:48])[0]
    size, count = struct.unpack(order + "HH", head[58:62])
    return os.path.getsize(path) < sections + size * count


def open_library(path, abi=ABI):
    """Return the Library in the file `path`. Raises LibraryUnusable, whose kind tells the reasons apart."""
    path = os.fspath(path)
    expected = file_names(abi)[0]
    try:
        built_for, cut_off = binary_architecture(path), is_cut_off(path)
    except FileNotFoundError:
        raise LibraryUnusable(NOT_FOUND, f"{path} does not exist: give the path of {expected}.", path=path) from None
    except OSError as error:
        raise LibraryUnusable(
            NOT_A_LIBRARY, f"{path} cannot be read ({error.strerror}): give the path of {expected}.", path=path
        ) from error
    if built_for is None:
        raise LibraryUnusable(
            NOT_A_LIBRARY, f"{path} is not a shared library of this system: give the path of {expected}.", path=path
        )
    if built_for != architecture():
        raise LibraryUnusable(
            WRONG_ARCHITECTURE,
            f"{path} was built for {built_for}, but this program runs on {architecture()}: "
            f"install the library for {architecture()}.",
            path=path,
            built_for=built_for,
        )
    if cut_off:
        raise LibraryUnusable(
            NOT_LOADABLE, f"{path} is incomplete ({os.path.getsize(path)} bytes): install or copy it again.", path=path
        )
    try:
        handle = ctypes.CDLL(path)
    except OSError as error:
        raise LibraryUnusable(
            NOT_LOADABLE,
            f"{path} cannot be loaded ({error}): install what it needs, or the stfusion made for this system.",
            path=path,
        ) from error
    return Library(handle, path, abi)


def open_on_system_path(abi=ABI):
    """Return the Library that the system's loader finds by name, or None. Raises LibraryUnusable when it finds a wrong one."""
    for name in file_names(abi):
        try:
            handle = ctypes.CDLL(name)
        except OSError as error:
            text = str(error)
            # a library that exists but lacks another one has that other's name, or its own with another reason, in front
            if operating_system() == "linux" and not text.startswith(f"{name}: cannot open shared object file"):
                raise LibraryUnusable(
                    NOT_LOADABLE,
                    f"{name} on the system's library path cannot be loaded ({text}): install what it needs.",
                    path=name,
                ) from error
            continue
        return Library(handle, _path_of(handle) or name, abi)
    return None


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
        dladdr = ctypes.CDLL(None).dladdr
        dladdr.restype, dladdr.argtypes = ctypes.c_int, (ctypes.c_void_p, ctypes.POINTER(_DlInfo))
        info = _DlInfo()
        if dladdr(ctypes.cast(handle.stf_abi_version, ctypes.c_void_p), ctypes.byref(info)) and info.file:
            return os.path.realpath(os.fsdecode(info.file))
    except (AttributeError, OSError, TypeError):
        return None
    return None


class Library:
    """The functions of `stfusion.h` as attributes, with their prototypes; `path`, `version` and `abi` of the library."""

    def __init__(self, handle, path, abi=ABI):
        """Take the functions from `handle`, a ctypes library. Raises LibraryUnusable unless it is stfusion with this ABI."""
        self.path = os.fspath(path)
        try:
            self._take(handle, ("stf_abi_version", "stf_version"))
        except AttributeError as error:
            raise LibraryUnusable(
                NOT_STFUSION, f"{path} is not the stfusion library: give the path of {file_names(abi)[0]}.", path=self.path
            ) from error
        self.abi = self.stf_abi_version()
        self.version = self.stf_version().decode("utf-8", "replace")
        if self.abi != abi:
            older = "the library" if self.abi < abi else "this program"
            raise LibraryUnusable(
                WRONG_VERSION,
                f"{path} is stfusion {self.version} with ABI {self.abi}, but ABI {abi} is needed: update {older} "
                "so that both are of the same release.",
                path=self.path,
                version=self.version,
                abi=self.abi,
            )
        try:
            self._take(handle, PROTOTYPES)
        except AttributeError as error:
            raise LibraryUnusable(
                NOT_STFUSION, f"{path} is not a complete stfusion library ({error}): install it again.", path=self.path
            ) from error

    def _take(self, handle, names):
        for name in names:
            function = getattr(handle, name)
            result, arguments = PROTOTYPES[name]
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)


class Context:
    """A context of the library for the length of a `with` block.

    `progress(fraction, message)` stops the work by a false answer other than None. `log(level, message)` gets warnings (1),
    information (2) and details (3). Both are called on the calling thread only: messages of the library's worker threads
    queue up until the next progress, or the end.
    """

    def __init__(self, library, progress=None, log=None, threads=0):
        self._library = library
        self._progress = progress
        self._log = log
        self._threads = threads
        self._messages = deque()
        self._raised = None
        # ctypes keeps no reference to a callback that C code holds
        self._callbacks = (Progress(self._on_progress), Log(self._on_log))
        self._handle = ctypes.c_void_p()

    def __enter__(self):
        self._check(self._library.stf_context_create(ctypes.byref(self._handle)))
        try:
            if self._threads:
                self.call("stf_context_set_threads", self._threads)
            if self._progress is not None or self._log is not None:
                self.call("stf_context_set_progress", self._callbacks[0], None)
            if self._log is not None:
                self.call("stf_context_set_log", self._callbacks[1], None)
        except BaseException:
            self._library.stf_context_destroy(self._handle)
            raise
        return self

    def __exit__(self, kind, error, trace):
        self._library.stf_context_destroy(self._handle)
        self._drain()

    def _on_progress(self, fraction, message, _user):
        # an exception must not leave a callback: it is kept, the work is stopped, and `_check` raises it again
        try:
            self._drain()
            if self._progress is None:
                return 1
            answer = self._progress(fraction, (message or b"").decode("utf-8", "replace"))
            return 1 if answer is None or answer else 0
        except BaseException as error:
            self._raised = error
            return 0

    def _on_log(self, level, message, _user):
        self._messages.append((level, (message or b"").decode("utf-8", "replace")))

    def _drain(self):
        while self._log is not None and self._messages:
            self._log(*self._messages.popleft())

    def _check(self, status):
        if self._raised is not None:
            raised, self._raised = self._raised, None
            raise raised
        if status == 0:
            return
        if status == STATUS_CANCELLED:
            raise Cancelled()
        message, hint = "", ""
        if self._handle:
            message = (self._library.stf_context_last_error(self._handle) or b"").decode("utf-8", "replace")
            hint = (self._library.stf_context_last_hint(self._handle) or b"").decode("utf-8", "replace")
        raise Error(status, message or f"The stfusion library failed with status {status}", hint)

    def call(self, name, *arguments):
        """Call a function whose first argument is the context and whose result is a status; raise what it failed with."""
        self._check(getattr(self._library, name)(self._handle, *arguments))

    def text(self, name, *arguments):
        """Call a function whose last argument is set to a text, and return the text."""
        out = ctypes.c_char_p()
        self.call(name, *arguments, ctypes.byref(out))
        return (out.value or b"").decode("utf-8")

    def json(self, name, *arguments):
        """Call a function whose last argument is set to JSON, and return its value."""
        return json.loads(self.text(name, *arguments) or "null")

    @contextlib.contextmanager
    def job(self, text, folder=None):
        """Make a job of JSON text for the length of a `with` block; relative names are relative to `folder`."""
        with self._made("stf_job_from_json", "stf_job_destroy", encode(text), encode(folder)) as job:
            yield job

    @contextlib.contextmanager
    def job_file(self, path):
        """Read a job file for the length of a `with` block."""
        with self._made("stf_job_from_file", "stf_job_destroy", encode(path)) as job:
            yield job

    @contextlib.contextmanager
    def _made(self, create, destroy, *arguments):
        handle = ctypes.c_void_p()
        self.call(create, *arguments, ctypes.byref(handle))
        try:
            yield handle
        finally:
            getattr(self._library, destroy)(handle)

    def run(self, job):
        """Run a job of files and return the report as a dict."""
        return self._report("stf_job_run", job)

    def run_image(self, job, prediction, support=None):
        """Run a job of images in memory into the Image `prediction` (and `support`) and return the report as a dict."""
        support = None if support is None else ctypes.byref(support)
        return self._report("stf_job_run_image", job, ctypes.byref(prediction), support)

    @contextlib.contextmanager
    def arrays(self):
        """Make arrays, none so far, for the length of a `with` block."""
        with self._made("stf_arrays_create", "stf_arrays_destroy") as arrays:
            yield arrays

    @contextlib.contextmanager
    def infer(self, weights, contents, options, inputs):
        """Run a network on the arrays `inputs`; its results live for the length of a `with` block.

        `contents` is None or the bytes of the file that messages then call `weights`; `options` is JSON or None.
        """
        arguments = encode(weights), contents, len(contents or b""), encode(options), inputs
        with self._made("stf_infer", "stf_arrays_destroy", *arguments) as results:
            yield results

    def array(self, arrays, index):
        """Return name, shape and values (a ctypes pointer) of one of the arrays; the values live as long as the arrays."""
        name, shape, axes, values = ctypes.c_char_p(), _sizes(), ctypes.c_size_t(), _floats()
        outs = (ctypes.byref(out) for out in (name, shape, axes, values))
        self.call("stf_arrays_get", arrays, index, *outs)
        return name.value.decode("utf-8"), tuple(shape[: axes.value]), values

    def arrays_count(self, arrays):
        """Return the number of arrays."""
        return self._library.stf_arrays_count(arrays)

    def _report(self, function, *arguments):
        with self._made(function, "stf_report_destroy", *arguments) as report:
            return json.loads(self._library.stf_report_json(report).decode("utf-8"))


def encode(text):
    """Return text, a path or None as the library takes it."""
    if text is None:
        return None
    text = os.fspath(text)
    text = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    if b"\0" in text:
        raise ValueError(f"Text for the library must not hold a zero byte; got {text[:60]!r}")
    return text
