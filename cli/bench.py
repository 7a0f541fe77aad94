"""``fastmlp bench``: fastmlp and every rival that is installed, each in a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastmlp.backends.threads import resolve
from fastmlp.benchmark import LEAST_ROUNDS
from fastmlp.benchmark.contenders import RIVALS
from fastmlp.checks import one_of, whole_number

from .options import Data, Json, Threads, checked, option
from .streams import echo

if TYPE_CHECKING:
    from fastmlp.benchmark.report import Report, Row

CONTENDERS = "Contenders"


def bench(
    rounds: Annotated[
        int,
        option(CONTENDERS, f"Epochs of each contender that are timed, at least {LEAST_ROUNDS}."),
    ] = LEAST_ROUNDS,
    rivals: Annotated[
        str | None,
        option(
            CONTENDERS,
            f"Tools to compare with: {', '.join(RIVALS)}, or none. Default: all of them.",
            metavar="NAME,...",
        ),
    ] = None,
    data: Data = "auto",
    threads: Threads = "auto",
    json: Json = False,
) -> None:
    """Compare fastmlp's speed with other tools and with the machine's peak.

    All train the same net in turns, from the same weights: 100 ReLU units, batch 100, plain SGD. The extra
    "rivals" installs the other tools.

    Examples:
      fastmlp bench
      fastmlp bench --rivals torch,sklearn --rounds 15 --json
    """
    n_threads, names, n_rounds = checked(
        lambda: resolve(threads),
        lambda: _names(rivals),
        lambda: whole_number("rounds", rounds, LEAST_ROUNDS, 10_000),
    )

    from fastmlp.benchmark.report import bench as compare
    from fastmlp.runs import strict_json

    from .render import Screen

    screen = Screen()
    dataset = screen.load(data).numeric()
    screen.say("data", dataset.source)
    report = compare(
        dataset,
        names=names,
        rounds=n_rounds,
        threads=n_threads,
        notify=lambda text: screen.say("bench", text),
    )
    if json:
        echo(strict_json(report.to_json()))
        return
    echo(*table(report))


def _names(text: str | None) -> list[str] | None:
    if text is None or text.strip() == "none":
        return None if text is None else []
    return [one_of("rivals", name.strip(), tuple(RIVALS)) for name in text.split(",")]


def table(report: Report) -> list[str]:
    """Table for people, and below it the machine's peak and the conditions."""
    width = max(len(row.label) for row in report.rows)
    heading = (
        f"{'':<{width}}  threads   s/epoch   fastest   samples/s  accuracy"
        f"   {'times fastmlp (95 %)':<22}  of peak"
    )
    options, peak = report.options, report.peak
    cores = f"{peak.cores} core{'s' if peak.cores > 1 else ''}"
    return [
        heading,
        *(_line(row, width) for row in report.rows),
        "",
        f"Peak: {peak.machine:.0f} GFLOP/s on {cores} ({peak.core:.0f} on one); a dense epoch takes at least "
        f"{report.floor:.4g} s there.",
        f"{options['rounds']} rounds; {report.data['name']}, {report.data['shape'][0]:,} rows; "
        f"{report.machine['cpu']}.",
    ]


def _line(row: Row, width: int) -> str:
    if row.seconds is None:
        return f"{row.label:<{width}}  {row.failure}"
    ratio = f"{row.ratio.median:.2f} ({row.ratio.low:.2f} - {row.ratio.high:.2f})" if row.ratio else "-"
    return (
        f"{row.label:<{width}}  {row.threads:>7}  {row.seconds:>8.4f}  {row.best:>8.4f}"
        f"  {row.samples_per_second:>10,.0f}  {row.accuracy:>8.4f}   {ratio:<22}  {row.share:>7.1%}"
    )
