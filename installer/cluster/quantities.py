"""Kubernetes quantities ("500m", "1Gi") as exact numbers.

Grammar: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re
from fractions import Fraction

_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -3, "u": -2, "m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_FORM = re.compile(
    r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))"
    r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?\d{1,3}))?"
)


def quantity(value: object) -> Fraction | None:
    """The exact number that a quantity stands for; None when it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    match = _FORM.fullmatch(str(value))
    if match is None:
        return None
    number = Fraction(match["number"].rstrip(".") or "0")
    if match["exponent"]:
        return number * Fraction(10) ** int(match["exponent"])
    suffix = match["suffix"] or ""
    if suffix in _BINARY:
        return number * int(1024 ** _BINARY[suffix])
    return number * Fraction(1000) ** _DECIMAL[suffix]
