"""Settled: objects whose attributes may be set only where that has an effect; else an error names them.

Keras lets a program set anything at any time (``layer.trainable = False``). What the engine would not hear
of must not look as if it had an effect.
"""

from __future__ import annotations

from typing import Any, ClassVar

from fastmlp.keras.missing import missing, simple


class Settled:
    """Base of layers, optimizers, losses and models.

    What may be set: a property with a setter, and what ``_free`` names. The others are what the constructor
    made them, and may be set to what they are. ``_instead``: for an attribute, what there is in its place.
    Names that begin with _ are free. There are no subclasses but those here. Raises MissingError (a
    NotImplementedError).
    """

    _free: ClassVar[tuple[str, ...]] = ()
    _instead: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls) -> None:
        if not cls.__module__.startswith("fastmlp."):
            parent = cls.__mro__[1].__name__
            raise missing(f"subclass of {parent} ({cls.__name__})", "its methods would not be called")

    def _keep(self, **attributes: Any) -> None:
        """Set what may not be set from outside."""
        vars(self).update(attributes)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_") or name in self._settable():
            super().__setattr__(name, value)
        elif not _same(value, getattr(self, name, Settled)):
            can = ", ".join(self._settable()) or "nothing"
            raise missing(
                f"setting of {name} in {type(self).__name__} after its constructor",
                self._instead.get(name, f"what may be set there is {can}"),
            )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        kind = type(self).__name__
        raise AttributeError(f"a {kind} of fastmlp.keras has no {name}; use Keras itself for more")

    @classmethod
    def _settable(cls) -> list[str]:
        found = {name: getattr(cls, name) for name in dir(cls) if not name.startswith("_")}
        return [*cls._free, *(name for name, it in found.items() if isinstance(it, property) and it.fset)]


def _same(value: Any, present: Any) -> bool:
    """True for the same object, or equal simple values; an array is the same only as an object."""
    return value is present or (simple(value) and simple(present) and bool(value == present))
