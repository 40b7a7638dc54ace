"""How many connections the database must accept, and whether it does.

Each Synapse process keeps a pool of its own, so the number grows with the workers; a database
that refuses a connection stops whole workers. The sum may take 85 % of ``max_connections``: the
rest is for restarts, when old and new processes are there at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from installer.core.errors import ExitCode, InstallError

RESERVE_PERCENT = 85
STEP = 50
CEILING = 1_000


@dataclass(frozen=True)
class ConnectionConsumer:
    """So many processes that each hold at most so many connections."""

    name: str
    processes: int
    each: int

    @property
    def total(self) -> int:
        return self.processes * self.each

    def __str__(self) -> str:
        return f"{self.name} {self.processes} x {self.each} = {self.total}"


@dataclass(frozen=True)
class ConnectionBudget:
    """``needed`` of ``max_connections``, which began at ``base``; ``usable`` is the 85 %."""

    needed: int
    base: int
    max_connections: int
    words: str

    @property
    def usable(self) -> int:
        return usable(self.max_connections)

    @property
    def raised(self) -> bool:
        return self.max_connections > self.base


def usable(max_connections: int) -> int:
    """How many of them may be planned for."""
    return max_connections * RESERVE_PERCENT // 100


def connection_budget(
    consumers: Sequence[ConnectionConsumer],
    base: int,
    *,
    own_figure: int | None = None,
    external: int | None = None,
) -> ConnectionBudget:
    """The ``max_connections`` to set, starting from the table's figure ``base``.

    Raised in steps of 50 up to 1,000. A figure that the operator chose (``own_figure``) or that a
    database of somebody else has (``external``) is never changed. Raises InstallError
    DATABASE-CONNECTIONS, with the sum in words, when it does not hold.
    """
    needed = sum(consumer.total for consumer in consumers)
    sum_words = " + ".join(str(c) for c in consumers if c.total) or "nothing"
    fixed = external if external is not None else own_figure
    if fixed is not None:
        if needed > usable(fixed):
            whose = "the external database has" if external is not None else "the settings say"
            raise _refusal(needed, sum_words, f"{whose} max_connections {fixed}", fixed)
        return ConnectionBudget(needed, fixed, fixed, _words(needed, fixed, fixed, sum_words))
    figure = base
    while needed > usable(figure) and figure < CEILING:
        figure = min(figure + STEP, CEILING)
    if needed > usable(figure):
        raise _refusal(needed, sum_words, f"our own database goes up to {CEILING}", figure)
    return ConnectionBudget(needed, base, figure, _words(needed, base, figure, sum_words))


def _words(needed: int, base: int, figure: int, sum_words: str) -> str:
    text = f"{needed} needed ({sum_words}), {base} set, of which {usable(base)} may be used"
    return f"{text}: raised to {figure}" if figure > base else text


def _refusal(needed: int, sum_words: str, limit: str, figure: int) -> InstallError:
    least = -(-needed * 100 // RESERVE_PERCENT)
    return InstallError(
        code="DATABASE-CONNECTIONS",
        title="The database would run out of connections",
        cause=f"{needed} are needed: {sum_words}. {limit[0].upper()}{limit[1:]}, "
        f"of which {usable(figure)} may be used ({RESERVE_PERCENT} %).",
        remedy=f"Let the database accept at least {least}, or have fewer workers or smaller "
        "pools (scale.overrides).",
        exit_code=ExitCode.SETTINGS,
    )
