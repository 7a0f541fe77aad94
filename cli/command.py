"""A command as Typer reads it: options of its groups one by one, its help laid out, room for it to begin.

Which options there are: options.py. What a command raises: failures.py.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable
from typing import Any, get_type_hints, is_typeddict

import typer
from typer.core import TyperCommand

from .options import ALONE, DEFAULTS, OUTPUT
from .room import demand_room

_EXAMPLES = "\n\nExamples:\n"  # in a command's docstring, the last of it


class Command(TyperCommand):
    """A command that begins where there is room for it, and whose help ends with its examples."""

    def __init__(self, *args: Any, help: str | None = None, **options: Any) -> None:
        text, heading, examples = (help or "").partition(_EXAMPLES)
        paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
        epilog = heading.strip() + f"\n{examples}" if heading else None
        super().__init__(*args, **{**options, "help": "\n\n".join(paragraphs), "epilog": epilog})

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)
        if option is not None:
            option.rich_help_panel = OUTPUT  # else it has a panel of its own, before all others
        return option

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        words = []
        for word, then in itertools.zip_longest(args, args[1:], fillvalue="-"):
            words += [word, ALONE[word]] if word in ALONE and then.startswith("-") else [word]
        return super().parse_args(ctx, words)

    def invoke(self, ctx: Any) -> Any:
        demand_room()
        return super().invoke(ctx)


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Spread the groups of options among a command's parameters: those that are TypedDicts.

    Typer sees each option of a group. The command gets a dict of those that the command line gives.
    """
    parameters = inspect.signature(command, eval_str=True).parameters
    groups = {
        name: get_type_hints(parameter.annotation, include_extras=True)
        for name, parameter in parameters.items()
        if is_typeddict(parameter.annotation)
    }
    keyword = inspect.Parameter.KEYWORD_ONLY
    spread = [inspect.Parameter("context", keyword, annotation=typer.Context)]
    for name, parameter in parameters.items():
        spread += [
            inspect.Parameter(option, keyword, default=DEFAULTS.get(option), annotation=kind)
            for option, kind in groups.get(name, {}).items()
        ] or [parameter.replace(kind=keyword)]

    @functools.wraps(command)
    def run(context: typer.Context, **values: Any) -> None:
        for group, options in groups.items():
            taken = {name: values.pop(name) for name in options}
            values[group] = {name: value for name, value in taken.items() if _is_given(context, name)}
        command(**values)

    run.__signature__ = inspect.Signature(spread)  # type: ignore[attr-defined]
    return run


def _is_given(context: Any, name: str) -> bool:
    return bool(context.get_parameter_source(name).name == "COMMANDLINE")
