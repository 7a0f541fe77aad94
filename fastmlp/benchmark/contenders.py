"""Contenders: fastmlp's own rows, and the tools that it is compared with. What they run is in programs.py.

The command line imports this to check names: nothing heavy may be loaded here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fastmlp.checks import one_of

PROGRAMS = "fastmlp.benchmark.programs"


@dataclass(frozen=True)
class Contender:
    """A row of the comparison.

    name:     its name in ``--rivals``; fastmlp's own rows share ``fastmlp``.
    label:    its name for people.
    program:  "module:class".
    needs:    modules that must be installed.
    packages: packages whose versions matter.
    threads:  numbers of threads that are tried before the rounds; the fastest takes part.
    options:  further arguments of the program.
    """

    name: str
    label: str
    program: str
    needs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    threads: tuple[int, ...] = (1,)
    options: dict[str, Any] = field(default_factory=dict)


RIVALS = {
    "numpy": ("NumPy reference", "Reference", ("numpy",), ("numpy",)),
    "torch": ("PyTorch, eager", "Torch", ("torch",), ("torch",)),
    "jax": ("JAX, jit + scan", "Jax", ("jax",), ("jax", "jaxlib")),
    "sklearn": ("scikit-learn, partial_fit", "Sklearn", ("sklearn",), ("scikit-learn",)),
    "keras": (
        "Keras, fit on TensorFlow",
        "Keras",
        ("keras", "tensorflow"),
        ("keras", "tensorflow", "tensorflow-cpu"),
    ),
}


def ours(threads: int) -> list[Contender]:
    """fastmlp's rows: one thread, that many, and that many by the other driver."""
    rows = [(n, "team") for n in sorted({1, threads})] + [(threads, "prange")]
    return [
        Contender(
            "fastmlp",
            f"fastmlp, {n} thread{'s' if n > 1 else ''}{', prange' if driver == 'prange' else ''}",
            f"{PROGRAMS}:Kernels",
            packages=("fastmlp", "numba"),
            threads=(n,),
            options={"driver": driver},
        )
        for n, driver in rows
    ]


def rivals(names: list[str] | None, threads: int) -> list[Contender]:
    """The rivals of these names, or all; each is tried at one thread and at that many."""
    for name in names or []:
        one_of("rivals", name, tuple(RIVALS))
    return [
        Contender(name, label, f"{PROGRAMS}:{program}", needs, packages, tuple(sorted({1, threads})))
        for name, (label, program, needs, packages) in RIVALS.items()
        if names is None or name in names
    ]
