# SPDX-License-Identifier: GPL-2.0-or-later
"""Parameters of the specification as parameters of Processing: how they look, what they say, and which values they take.

| kind | Processing | value in the job |
|---|---|---|
| `int`, `float` | number | number |
| `auto_float` | number, may be left unset | number, nothing when unset |
| `bool` | check box | true, false |
| `choice` | enum whose values are the frozen ids | id |
| `floats`, `ints` | text: numbers separated by spaces or commas | list, nothing when empty or `auto` |
| `text` | text | text |
| `file` | file | name |
| `new_file` | file destination | name |
"""

import math
import re
from decimal import Decimal

from qgis.core import (
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
)

from .i18n import tr

ADVANCED = QgsProcessingParameterDefinition.Flag.FlagAdvanced

# kinds whose value is a text that is taken as it is
TEXTS = ("text", "file", "new_file")


class BadValue(Exception):
    """A value that is not admitted; the text is what people read."""


def name_of(spec):
    """Return the name of a parameter in Processing."""
    return spec["id"].upper()


def advanced(parameter):
    """Move a parameter to the advanced ones and return it."""
    parameter.setFlags(parameter.flags() | ADVANCED)
    return parameter


def definition(spec):
    """Return the Processing parameter for one parameter of the specification, with its help."""
    name, label, kind, default = name_of(spec), tr(spec["label"]), spec["kind"], spec["default"]
    if spec.get("unit"):
        label = f"{label} ({tr(spec['unit'])})"
    limits = {key: spec[end] for key, end in (("minValue", "min"), ("maxValue", "max")) if spec.get(end) is not None}
    if kind == "int":
        parameter = QgsProcessingParameterNumber(name, label, QgsProcessingParameterNumber.Type.Integer, default, **limits)
        if spec.get("odd"):
            # a spin box that starts at an odd number and steps by two stays odd
            parameter.setMetadata({"widget_wrapper": {"step": 2}})
    elif kind == "float":
        parameter = QgsProcessingParameterNumber(name, label, QgsProcessingParameterNumber.Type.Double, default, **limits)
        parameter.setMetadata({"widget_wrapper": {"decimals": _decimals(spec)}})
    elif kind == "auto_float":
        label = tr("{label}, automatic if not set").format(label=label)
        parameter = QgsProcessingParameterNumber(name, label, QgsProcessingParameterNumber.Type.Double, None, True, **limits)
        parameter.setMetadata({"widget_wrapper": {"decimals": _decimals(spec)}})
    elif kind == "bool":
        parameter = QgsProcessingParameterBoolean(name, label, default)
    elif kind == "choice":
        parameter = QgsProcessingParameterEnum(
            name, label, [option["id"] for option in spec["options"]], False, default, usesStaticStrings=True
        )
    elif kind in ("floats", "ints"):
        text = default if isinstance(default, str) else " ".join(plain(v) for v in default)
        parameter = QgsProcessingParameterString(name, label, text, optional=True)
    elif kind == "file":
        parameter = QgsProcessingParameterFile(name, label, optional=not spec.get("required"), fileFilter=_file_filter(spec))
    elif kind == "new_file":
        # not made unless a name is given
        parameter = QgsProcessingParameterFileDestination(name, label, _file_filter(spec), None, True, False)
    else:
        parameter = QgsProcessingParameterString(name, label, default, optional=True)
    parameter.setHelp(help_text(spec))
    return parameter


def help_text(spec):
    """Return the help of a parameter as plain text: its sentences, its choices, what it accepts."""
    parts = [tr(spec["help"])]
    if spec["kind"] == "choice":
        parts += [f"{option['id']}: {tr(option['help'])}." for option in spec["options"]]
    elif spec["kind"] not in ("bool", *TEXTS):
        expected = expectation(spec)
        parts.append(expected[0].upper() + expected[1:] + ".")
    return " ".join(part for part in parts if part)


def plain(number):
    """Write a number as the library does: no exponent, no needless decimals."""
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return str(number)
    text = format(Decimal(repr(number)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def expectation(spec):
    """Return what a parameter accepts, as the end of a sentence, in the library's words."""
    kind = spec["kind"]
    unit = f" {spec['unit']}" if spec.get("unit") else ""
    if kind == "int":
        what = "an odd whole number" if spec.get("odd") else "a whole number"
        return f"{what} between {plain(spec['min'])} and {plain(spec['max'])}{unit}"
    if kind == "ints":
        return f"whole numbers between {plain(spec['min'])} and {plain(spec['max'])}{unit}"
    if kind == "bool":
        return "true or false"
    if kind == "choice":
        return "one of " + ", ".join(option["id"] for option in spec["options"])
    if kind in TEXTS:
        return {"text": "a text", "file": "the name of a file", "new_file": "the name of a file to write"}[kind]
    auto = ', or "auto"' if kind == "auto_float" or spec["default"] == "auto" else ""
    return f"{'numbers' if kind == 'floats' else 'a number'} {_span(spec)}{unit}{auto}"


def read(spec, raw):
    """Return the job's value for what a dialog, a model or a command line gave; None stands for the default.

    Raises BadValue with the library's own sentence.
    """
    kind = spec["kind"]
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return None
    if kind in TEXTS:
        return str(raw).strip()
    if kind == "bool":
        word = str(raw).strip().lower()
        if word in ("true", "yes", "on", "1"):
            return True
        if word in ("false", "no", "off", "0"):
            return False
        raise BadValue(_refusal(spec, raw))
    if kind == "choice":
        ids = [option["id"] for option in spec["options"]]
        if str(raw) in ids:
            return str(raw)
        raise BadValue(_refusal(spec, raw))
    if kind in ("floats", "ints"):
        if str(raw).strip() == "auto" and kind == "floats":
            return None
        items = raw if isinstance(raw, (list, tuple)) else [s for s in re.split(r"[\s,;]+", str(raw)) if s]
        numbers = [_number(item, kind == "ints") for item in items]
        if any(n is None or not _within(spec, n) for n in numbers):
            raise BadValue(_refusal(spec, raw if isinstance(raw, str) else " ".join(plain(i) for i in items)))
        return numbers
    if kind == "auto_float" and str(raw).strip() == "auto":
        return None
    number = _number(raw, kind == "int")
    if number is None or not _within(spec, number) or (spec.get("odd") and number % 2 == 0):
        raise BadValue(_refusal(spec, raw))
    return number


def _file_filter(spec):
    every = tr("All files") + " (*)"
    return f"*.{spec['suffix']} (*.{spec['suffix']});;{every}" if spec.get("suffix") else every


def _number(raw, whole):
    try:
        value = float(str(raw).strip())
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    if not whole:
        return value
    return int(value) if value == int(value) else None


def _within(spec, number):
    low, high = spec.get("min"), spec.get("max")
    return (low is None or number >= low) and (high is None or number <= high)


def _refusal(spec, raw):
    label, kind = spec["label"], spec["kind"]
    number = _number(raw, True) if kind == "int" else None
    got = plain(number) if number is not None else plain(raw)[:60]
    if number is not None and _within(spec, number):
        return f"{label} must be an odd whole number; got {got}"
    if number is not None:
        unit = f" {spec['unit']}" if spec.get("unit") else ""
        return f"{label} must be between {plain(spec['min'])} and {plain(spec['max'])}{unit}; got {got}"
    return f"{label} must be {expectation(spec)}; got {got}"


def _span(spec):
    low, high = spec.get("min"), spec.get("max")
    if low is not None and high is not None:
        return f"between {plain(low)} and {plain(high)}"
    if low is not None:
        return f"of at least {plain(low)}"
    if high is not None:
        return f"of at most {plain(high)}"
    return "of any size"


def _decimals(spec):
    """Return the decimals a spin box needs to show the default and the smallest value, and two more for fine tuning."""
    shown = [Decimal(repr(spec[key])) for key in ("min", "default") if isinstance(spec.get(key), (int, float)) and spec[key]]
    return min(14, 2 + max([0] + [-n.normalize().as_tuple().exponent for n in shown]))
