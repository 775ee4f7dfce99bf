"""The shared library: found, looked at, and its functions with their types."""

from __future__ import annotations

import ctypes as c
import os
import subprocess
from pathlib import Path
from typing import Any, Callable, Iterator

from . import _abi
from .constants import VERSION, VERSION_MAJOR, VERSION_MINOR

NAME = f"libcamrill.so.{VERSION_MAJOR}"


class Error(Exception):
    """A call failed. `code` is one of the constants E…; the text says what was wrong, where, and what was expected."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def _places() -> Iterator[str]:
    given = os.environ.get("CAMRILL_LIBRARY")
    if given:
        yield given
        return  # who names one wants no other
    here = Path(__file__).resolve().parent
    yield from map(str, sorted(here.glob("libcamrill.so*")))
    yield NAME
    try:
        asked = ["pkg-config", "--variable=libdir", "camrill"]
        folder = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        folder = ""
    if folder:
        yield str(Path(folder) / NAME)
    if len(here.parents) > 2 and (here.parents[2] / "include" / "camrill.h").exists():
        yield str(here.parents[2] / "target" / "release" / "libcamrill.so")


def _load() -> c.CDLL:
    tried = []
    for place in _places():
        try:
            return _typed(c.CDLL(place), place)
        except OSError as error:
            tried.append(str(error))
    raise ImportError(
        f"{NAME} was not found: install it, or say where it is with CAMRILL_LIBRARY. Tried: " + "; ".join(tried)
    )


def _text(number: int) -> str:
    return f"{number >> 16}.{number >> 8 & 0xff}.{number & 0xff}"


def _typed(library: c.CDLL, place: str) -> c.CDLL:
    try:
        library.camrill_version.restype = c.c_uint32
        number = int(library.camrill_version())
    except AttributeError:
        raise ImportError(f"{place} is not camrill: it has no camrill_version()") from None
    major, minor = number >> 16, number >> 8 & 0xFF
    # While the major version is 0, a minor version may change what structs look like.
    if major != VERSION_MAJOR or minor < VERSION_MINOR or (major == 0 and minor != VERSION_MINOR):
        raise ImportError(f"{place} is camrill {_text(number)}, and this package is for {_text(VERSION)}")
    for name, (result, arguments) in _abi.FUNCTIONS.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise ImportError(
                f"{place} has no {name}(): it is older than this package, or built without a feature"
            ) from None
        function.restype, function.argtypes = result, arguments
    return library


library: Any = _load()


def callback(kind: Any) -> Callable[[Callable[..., Any]], Any]:
    """The decorator that makes a C function of one of Python's, with a type for those who check."""
    return lambda function: kind(function)


def version() -> str:
    """The version of the library that is loaded, such as "0.1.0"."""
    return _text(library.camrill_version())


def error_of(engine: int | None, code: int) -> Error:
    """What a call has answered with a negative number, on an engine or on none."""
    buffer = c.create_string_buffer(2048)
    library.camrill_engine_last_error(engine, buffer, len(buffer))
    text = buffer.value or library.camrill_strerror(code)
    return Error(code, text.decode("utf-8", "replace"))
