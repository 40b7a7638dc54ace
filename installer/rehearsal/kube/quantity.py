"""Kubernetes quantities: amounts of CPU, memory and storage, and their canonical text."""

import re
from fractions import Fraction

_FORM = re.compile(r"^([+-]?[0-9.]+)(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]?|[eE][+-]?[0-9]+)$")
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -3, "u": -2, "m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}


def amount(value: object) -> Fraction:
    """The number that a quantity stands for; ValueError when it is none."""
    match = _FORM.match(str(value))
    if match is None:
        raise ValueError(f"{value!r} is not a quantity")
    number, suffix = Fraction(match[1]), match[2]
    if suffix in _BINARY:
        return number * Fraction(1024) ** _BINARY[suffix]
    if suffix in _DECIMAL:
        return number * Fraction(1000) ** _DECIMAL[suffix]
    return number * Fraction(10) ** int(suffix[1:])


def canonical(value: object) -> str:
    """The text into which the API server turns a quantity (`1024Mi` becomes `1Gi`)."""
    text = str(value)
    match = _FORM.match(text)
    if match is None:
        return text
    number = amount(text)
    if number == 0:
        return "0"
    if match[2] in _BINARY and number.denominator == 1:
        return _shortest(number, 1024, {power: name for name, power in _BINARY.items()} | {0: ""})
    names = {power: name for name, power in _DECIMAL.items()}
    if match[2] not in _BINARY and match[2] not in _DECIMAL:
        names = {power: f"e{3 * power}" if power else "" for power in range(-3, 7)}
    return _shortest(number, 1000, names)


def _shortest(number: Fraction, base: int, names: dict[int, str]) -> str:
    for power in sorted(names, reverse=True):
        scaled = number / Fraction(base) ** power
        if scaled.denominator == 1:
            return f"{scaled.numerator}{names[power]}"
    return str(number)
