# SPDX-License-Identifier: MIT OR Apache-2.0
"""Where the library is searched, and calls that log to `logging` and can be interrupted.

    search:  load_library(path) -> STFUSION_LIBRARY -> lib/ in this package -> system library path

What the first two name is used or reported, never skipped.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Optional, Union

from . import _abi

ENVIRONMENT = "STFUSION_LIBRARY"

Path = Union[str, "os.PathLike[str]"]
ProgressFunction = Callable[[float, str], Optional[bool]]

_LEVELS = {1: logging.WARNING, 2: logging.INFO, 3: logging.DEBUG}
_logger = logging.getLogger("stfusion")
_lock = threading.Lock()
_loaded: _abi.Library | None = None


def load_library(path: Path | None = None) -> _abi.Library:
    """Load the library and use it from now on.

    Needed only to choose a file: the first call of any function loads the library otherwise.

    Parameters
    ----------
    path
        File of the library, or the folder it is in. None: what `STFUSION_LIBRARY` names, else the one in this package, else
        the system's.

    Raises
    ------
    LibraryUnusable
        Its `kind` tells "not found", "not a library", "wrong architecture", "not loadable", "not stfusion" and "wrong
        version" apart; its text says what to do.
    """
    global _loaded
    with _lock:
        _loaded = _find(path)
        return _loaded


def library() -> _abi.Library:
    """Return the library in use, loading it when it is the first time."""
    return _loaded or load_library()


def _find(path: Path | None) -> _abi.Library:
    for origin, value in (("load_library", path), (ENVIRONMENT, os.environ.get(ENVIRONMENT))):
        if not value:
            continue
        value = os.fspath(value)
        file = _abi.file_in(value) if os.path.isdir(value) else value
        if file is None or not os.path.exists(file):
            trouble = "is a folder without the library" if file is None else "does not exist"
            raise _abi.LibraryUnusable(
                _abi.NOT_FOUND,
                f"The stfusion library was not found: {value}, given by {origin}, {trouble}; correct or remove it.",
            )
        return _abi.open_library(file)
    own = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib")
    file = _abi.file_in(own)
    if file is not None:
        return _abi.open_library(file)
    found = _abi.open_on_system_path()
    if found is None:
        raise _abi.LibraryUnusable(
            _abi.NOT_FOUND,
            f"The stfusion library was not found in {own} nor on the system's library path: install it, or give its path in the "
            f"environment variable {ENVIRONMENT} or to stfusion.load_library.",
        )
    return found


@contextlib.contextmanager
def context(progress: ProgressFunction | None = None, threads: int = 0) -> Iterator[_abi.Context]:
    """Give a context of the library whose runs log to the logger `stfusion` and stop on Ctrl-C."""
    with _deferred_interrupt() as interrupted:

        def tell(fraction: float, message: str) -> bool | None:
            if interrupted():
                return False
            return progress is None or progress(fraction, message)

        with _abi.Context(library(), tell, _log, threads) as opened:
            yield opened


def _log(level: int, message: str) -> None:
    _logger.log(_LEVELS.get(level, logging.DEBUG), "%s", message)


@contextlib.contextmanager
def _deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Keep Ctrl-C until the library has returned; give a function that says whether it came.

    Python would raise KeyboardInterrupt at the first instruction of the progress callback, where nothing can catch it. A
    second Ctrl-C raises at once. Handlers that a program installed itself stay in place.
    """
    on_main = threading.current_thread() is threading.main_thread()
    if not on_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: False
        return
    came: list[int] = []

    def remember(number, frame):
        if came:
            signal.default_int_handler(number, frame)
        came.append(number)

    signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: bool(came)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if came:
            raise KeyboardInterrupt from None
