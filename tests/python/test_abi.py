# SPDX-License-Identifier: MIT OR Apache-2.0
"""The ctypes description against the header and the library."""

import ctypes
import pickle
import re

import pytest
from conftest import ROOT

import stfusion
from stfusion import _abi

HEADER = (ROOT / "include/stfusion/stfusion.h").read_text()


def header_functions():
    """Return name -> (result, argument types) of the header, in the words of C."""
    code = re.sub(r"/\*.*?\*/", " ", HEADER, flags=re.S)
    found = {}
    for result, name, arguments in re.findall(r"^([\w \*]*?\**)\s*\b(stf_\w+)\s*\(([^;{]*?)\)\s*;", code, flags=re.S | re.M):
        types = [re.sub(r"\w+$", "", " ".join(a.split())).strip() for a in arguments.split(",")]
        found[name] = (" ".join(result.split()), [] if arguments.strip() in ("", "void") else types)
    return found


HANDLES = ("stf_context", "stf_job", "stf_report", "stf_arrays")
C_TYPES = {
    ctypes.c_int32: {"int32_t", "stf_status"},
    ctypes.c_uint32: {"uint32_t"},
    ctypes.c_int64: {"int64_t"},
    # one type where addresses have 64 bit
    ctypes.c_size_t: {"size_t", "uint64_t"},
    ctypes.c_double: {"double"},
    ctypes.c_char_p: {"const char *", "char *"},
    None: {"void"},
    _abi.Progress: {"stf_progress_fn"},
    _abi.Log: {"stf_log_fn"},
    ctypes.POINTER(ctypes.c_char_p): {"const char **"},
    ctypes.POINTER(_abi.Image): {"const stf_image *", "stf_image *"},
    ctypes.POINTER(ctypes.c_size_t): {"const size_t *", "size_t *"},
    ctypes.POINTER(ctypes.POINTER(ctypes.c_size_t)): {"const size_t **"},
    ctypes.POINTER(ctypes.c_float): {"const float *"},
    ctypes.POINTER(ctypes.POINTER(ctypes.c_float)): {"const float **"},
    ctypes.POINTER(ctypes.c_void_p): {f"{handle} **" for handle in HANDLES},
    ctypes.c_void_p: {f"{const}{t} *" for t in ("void", *HANDLES) for const in ("", "const ")},
}


def test_every_function_of_the_header_has_its_prototype():
    functions = header_functions()
    assert len(functions) > 30
    assert set(functions) == set(_abi.PROTOTYPES)
    for name, (result, arguments) in functions.items():
        have_result, have_arguments = _abi.PROTOTYPES[name]
        assert result in C_TYPES[have_result], name
        assert len(arguments) == len(have_arguments), name
        for c, python in zip(arguments, have_arguments):
            assert c in C_TYPES[python], f"{name}: {c}"


def test_numbers_are_those_of_the_header():
    types = {int(n): kind for kind, n in re.findall(r"STF_DTYPE_(\w+) = (\d+)", HEADER)}
    letters = {"U": "u", "I": "i", "F": "f"}
    assert {f"{letters[kind[0]]}{int(kind[1:]) // 8}": n for n, kind in types.items()} == _abi.DTYPES
    assert re.search(r"STF_STATUS_CANCELLED = (\d+)", HEADER)[1] == str(_abi.STATUS_CANCELLED)
    assert re.search(r"#define STF_ABI_VERSION (\d+)", HEADER)[1] == str(_abi.ABI)


def test_the_image_structure_is_laid_out_as_the_library_has_it():
    library, image = stfusion.load_library(), _abi.Image()
    assert library.stf_image_init(4096, _abi.DTYPES["i2"], 3, 5, 7, ctypes.sizeof(image), ctypes.byref(image)) == 0
    assert image.struct_size == ctypes.sizeof(_abi.Image)
    assert (image.data, image.dtype, image.bands, image.rows, image.cols) == (4096, 3, 3, 5, 7)
    assert (image.scale, image.offset, image.has_nodata, image.mask) == (1, 0, 0, None)
    fields = re.search(r"typedef struct \{(.*?)\} stf_image;", re.sub(r"/\*.*?\*/", "", HEADER, flags=re.S), flags=re.S)[1]
    assert re.findall(r"(\w+);", fields) == [field[0] for field in _abi.Image._fields_]


def test_versions_agree():
    assert stfusion.library_version() == stfusion.__version__
    assert f'version = "{stfusion.__version__}"' in (ROOT / "python/pyproject.toml").read_text()
    assert f"library {stfusion.__version__}\nabi {_abi.ABI}\n" in (ROOT / "Version.txt").read_text()


def test_errors_survive_pickling():
    for error in (
        stfusion.Error(2, "window must be odd; got 4", "Use 5."),
        stfusion.Cancelled(),
        stfusion.LibraryUnusable("not found", "x"),
        stfusion.LibraryUnusable("wrong architecture", "x", path="p", built_for="aarch64"),
    ):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert vars(copy) == vars(error)
        assert str(copy) == str(error)


def test_text_with_a_zero_byte_is_refused_before_it_is_cut():
    with pytest.raises(ValueError, match="zero byte"):
        stfusion.image_info("a\0b")


def test_an_exception_in_the_log_function_comes_back_to_the_caller():
    def log(level, message):
        raise LookupError(message)

    context = _abi.Context(stfusion.load_library(), log=log)
    with pytest.raises(LookupError, match="told"), context:
        context._on_log(2, b"told", None)
