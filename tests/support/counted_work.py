"""Counts what Python functions do, in place of timing them: the same number on every machine, however busy.

Each call, turn of a loop, slice, sum and formatted text costs one, and what it reads or makes: so much for
each letter, byte, item or number. So work that hides in C is seen too: ``text[i:]``, ``+=``, ``pop(0)``, or a
call of NumPy on all that came before. A function that is counted itself costs nothing for what it is given.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest

NAME = "__work__"
AT_ONCE = {len, isinstance, iter, next, id, type, getattr, hasattr}
IN_PLACE = {(list, "append"), (set, "add"), (dict, "get"), (dict, "setdefault"), (re.Match, "end")}


def functions_of(*modules: ModuleType) -> list[FunctionType]:
    """All functions that modules define, methods and properties too."""
    found = []
    for module in modules:
        homes = [module, *(kind for kind in vars(module).values() if inspect.isclass(kind))]
        for home in homes:
            for entry in vars(home).values():
                entry = entry.fget if isinstance(entry, property) else getattr(entry, "__func__", entry)
                entry = inspect.unwrap(entry) if callable(entry) else entry
                if inspect.isfunction(entry) and entry.__code__.co_filename == module.__file__:
                    found.append(entry)
    return found


class Work:
    """``with Work(functions) as work: ...`` leaves in ``work.done`` what they did meanwhile."""

    def __init__(self, functions: Iterable[FunctionType]) -> None:
        self.functions, self.done = set(functions), 0
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> Work:
        for function in self.functions:
            self._patch.setattr(function, "__code__", _counted(function, function.__code__))
            self._patch.setitem(function.__globals__, NAME, self)
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()

    # what counted functions call

    def call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        result = function(*args, **options)
        self.done += 1
        if function not in AT_ONCE and getattr(function, "__func__", function) not in self.functions:
            self.done += _cost(function, [*args, *options.values()], result)
        return result

    def made(self, value: Any) -> Any:
        self.done += 1 + size(value)
        return value

    def sliced(self, value: Any) -> Any:
        """A copy; of an array a view."""
        return self.turn(value) if isinstance(value, np.ndarray) else self.made(value)

    def looked_through(self, container: Any) -> Any:
        self.done += 1 if isinstance(container, (set, frozenset, dict)) else 1 + size(container)
        return container

    def grown(self, value: Any) -> None:
        """By +=, which makes immutable ones anew, and goes through arrays."""
        self.done += 1 + size(value) * isinstance(value, (str, bytes, tuple, np.ndarray))

    def turn(self, value: Any) -> Any:
        self.done += 1
        return value

    def each(self, items: Iterable[Any]) -> Iterator[Any]:
        return map(self.turn, items)


def size(value: Any) -> int:
    """How many letters, bytes, items or numbers it holds."""
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        return len(value)
    if isinstance(value, np.ndarray):
        return value.size
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        return len(value) + sum(map(size, value))
    return 1


def _cost(function: Any, args: list[Any], result: Any) -> int:
    """What a call that is not counted within reads and makes."""
    holder, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
    if (type(holder), name) in IN_PLACE or (type(holder) is list and name == "pop" and not args):
        return 0
    if isinstance(holder, re.Pattern) and name in ("match", "search"):
        begin = args[1] if len(args) > 1 else 0
        return (len(args[0]) if result is None else result.end()) - begin
    if isinstance(holder, (str, bytes)) and name in ("find", "index", "count", "rfind", "rindex"):
        begin, end = (*args[1:], *(0, len(holder))[len(args) - 1 :])
        if name == "count" or result < 0:
            return max(end - begin, 0)
        return end - result if name.startswith("r") else result - begin
    if isinstance(holder, (str, bytes)) and name in ("startswith", "endswith"):
        return size(args[0])
    held = holder if isinstance(holder, (str, bytes, bytearray, list, tuple, set, dict, np.ndarray)) else ()
    return size(held) + sum(map(size, args)) + size(result)


@functools.cache
def _counted(function: FunctionType, code: CodeType) -> CodeType:
    """The code of a function that tells NAME what it does."""
    assert not code.co_freevars, f"{function} is a closure"
    tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    (definition,) = tree.body
    assert isinstance(definition, ast.FunctionDef), f"{function} is no def"
    definition.decorator_list, definition.returns = [], None
    definition.args.defaults, definition.args.kw_defaults = [], [None for _ in definition.args.kwonlyargs]
    ast.fix_missing_locations(_Counting().visit(tree))
    whole = compile(tree, code.co_filename, "exec", annotations.compiler_flag, dont_inherit=True)
    (made,) = (c for c in whole.co_consts if isinstance(c, CodeType) and c.co_name == code.co_name)
    return made


def _told(method: str, *args: ast.expr, keywords: Iterable[ast.keyword] = ()) -> ast.Call:
    work = ast.Attribute(ast.Name(NAME, ast.Load()), method, ast.Load())
    return ast.Call(work, list(args), list(keywords))


class _Counting(ast.NodeTransformer):
    """Puts a call of Work around what costs."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        return _told("call", node.func, *node.args, keywords=node.keywords)

    def _making(self, node: Any) -> ast.expr:
        self.generic_visit(node)
        return _told("made", node)

    visit_BinOp = visit_JoinedStr = _making

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.FormattedValue:
        node.value = self.visit(node.value)  # a format_spec stays a JoinedStr
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        self.generic_visit(node)
        sliced = isinstance(node.slice, ast.Slice) and isinstance(node.ctx, ast.Load)
        return _told("sliced", node) if sliced else node

    def visit_Compare(self, node: ast.Compare) -> ast.Compare:
        self.generic_visit(node)
        node.comparators = [
            _told("looked_through", within) if isinstance(op, (ast.In, ast.NotIn)) else within
            for op, within in zip(node.ops, node.comparators, strict=True)
        ]
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> list[ast.stmt]:
        self.generic_visit(node)
        value = ast.parse(ast.unparse(node.target), mode="eval").body
        return [node, ast.Expr(_told("grown", value))]

    def _loop(self, node: Any) -> Any:
        self.generic_visit(node)
        node.iter = _told("each", node.iter)
        return node

    visit_For = visit_comprehension = _loop

    def visit_While(self, node: ast.While) -> ast.While:
        self.generic_visit(node)
        node.test = _told("turn", node.test)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AnnAssign:
        node.value = self.visit(node.value) if node.value else None
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return node
