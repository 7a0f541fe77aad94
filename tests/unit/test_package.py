"""The package as a whole: who imports whom, what an import costs, what is forbidden, what is shipped.

Every check here is a function of source text, and is fed something wrong first.
"""

from __future__ import annotations

import ast
import inspect
import io
import os
import re
import tokenize
import tomllib
from pathlib import Path

import pytest
from sources import MODULES, ROOT, SOURCES, module_of, python, tree_of

import fastmlp

# A module imports only from the lines above it. A folder counts as one module;
# inside it, imports must have no cycle. ``fastmlp`` itself only says where its names live.
LINES = [
    {"fastmlp.errors", "fastmlp.forks"},
    {"fastmlp.checks", "fastmlp.pictures"},
    {"fastmlp.cache_dir", "fastmlp.display", "fastmlp.random"},
    {"fastmlp.words"},
    {"fastmlp.spec"},
    {"fastmlp.files"},
    {"fastmlp.net"},
    {"fastmlp.fold"},
    {"fastmlp.backends"},
    {"fastmlp.data", "fastmlp.target_scale"},
    {"fastmlp.reference", "fastmlp.kernels"},
    {"fastmlp.model"},
    {"fastmlp.train"},
    {"fastmlp.estimators", "fastmlp.keras", "fastmlp.torch"},
    {"fastmlp.diagnosis"},
    {"fastmlp.environment"},
    {"fastmlp.runs", "fastmlp.benchmark"},
    {"fastmlp.study"},
    {"fastmlp"},
    {"fastmlp_cli"},
]
HEIGHT = {name: height for height, line in enumerate(LINES) for name in line}


def imports_of(source: str, name: str) -> set[str]:
    """Modules of ours that a source imports, anywhere in it; those for type checking alone do not count."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.orelse:
                visit(child)
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:  # relative: from the package that holds the module, level - 1 steps up
                is_package = f"{name.replace('.', '/')}/__init__.py" in SOURCES
                parts = name.split(".") if is_package else name.split(".")[:-1]
                base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [base])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                if whole != "fastmlp.__version__":
                    found.add(whole if whole in MODULES else base)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree_of(source))
    return {module for module in found if module.split(".")[0] in ("fastmlp", "fastmlp_cli", "cli")}


def line_of(module: str) -> int:
    """Where a module stands in LINES; KeyError says that it must be given a place."""
    if module.startswith("fastmlp_cli"):
        return HEIGHT["fastmlp_cli"]
    return HEIGHT[".".join(module.split(".")[:2])]


def wrong_imports(source: str, name: str) -> list[str]:
    """Imports that go up, sideways, or into the command line."""
    own, same = line_of(name), name.split(".")[:2] if name.startswith("fastmlp.") else name.split(".")[:1]
    return [
        f"{name} imports {other}"
        for other in sorted(imports_of(source, name))
        if other.split(".")[0] == "cli"
        or (line_of(other) >= own and other.split(".")[: len(same)] != same)
        or (name == "fastmlp" and other != "fastmlp.forks")
    ]


def test_few_modules_stand_beside_the_packages():
    assert len([*(ROOT / "fastmlp").glob("[a-z]*.py")]) <= 14


def test_import_linter_goes_red():
    for source, name in (
        ("from fastmlp import kernels", "fastmlp.reference"),
        ("import fastmlp.reference", "fastmlp.kernels.layout"),
        ("def f():\n    from fastmlp.reference import forward", "fastmlp.kernels"),
        ("from fastmlp.train.loop import train", "fastmlp.net"),
        ("from fastmlp.spec import Training", "fastmlp.errors"),
        ("from ..train.loop import train", "fastmlp.data.idx"),
        ("from . import train", "fastmlp.model"),
        ("import fastmlp_cli.app", "fastmlp.runs"),
        ("import cli", "fastmlp.runs"),
        ("from fastmlp import fit", "fastmlp.train.loop"),  # the package itself stands above its modules
        ("from fastmlp.spec import Training", "fastmlp"),  # not lazy
    ):
        assert wrong_imports(source, name), (source, name)
    with pytest.raises(KeyError):
        wrong_imports("import fastmlp.unheard_of", "fastmlp.model")
    for source, name in (
        ("from fastmlp.reference import forward", "fastmlp.train.loop"),
        ("from fastmlp.kernels import jit", "fastmlp.kernels.simd"),
        ("from . import jit\nfrom ..spec import Training", "fastmlp.kernels.simd"),
        ("import fastmlp\nimport fastmlp_cli.options", "fastmlp_cli.app"),
        ("import numpy, loop", "fastmlp.errors"),
        ("if TYPE_CHECKING:\n    from fastmlp.model import Model", "fastmlp"),
    ):
        assert not wrong_imports(source, name), (source, name)


@pytest.mark.parametrize("path", sorted(SOURCES))
def test_imports_go_one_way(path):
    assert not wrong_imports(SOURCES[path].read_text(), module_of(path))


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """A cycle of imports, or nothing."""
    done: set[str] = set()

    def walk(node: str, trail: list[str]) -> list[str]:
        if node in trail:
            return [*trail[trail.index(node) :], node]
        if node in done:
            return []
        for following in sorted(graph.get(node, ())):
            if found := walk(following, [*trail, node]):
                return found
        done.add(node)
        return []

    for start in sorted(graph):
        if found := walk(start, []):
            return found
    return []


def test_no_module_imports_itself_by_way_of_others():
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle({"a": {"b", "c"}, "b": {"c"}}) == []
    late = "def load():\n    from fastmlp.keras.sequential import Sequential"  # in a function: it counts too
    assert imports_of(late, "fastmlp.keras.files") == {"fastmlp.keras.sequential"}
    graph = {module_of(path): imports_of(file.read_text(), module_of(path)) for path, file in SOURCES.items()}
    assert not cycle({name: others - {"fastmlp"} for name, others in graph.items()})


# --- the import ---------------------------------------------------------------------------------


def test_import_is_lazy():
    script = """
import sys
import fastmlp
assert fastmlp.__version__
dir(fastmlp)
heavy = {"numpy", "numba", "typer", "rich", "safetensors", "platformdirs", "llvmlite", "click"}
print(sorted(heavy & set(sys.modules)))
fastmlp.Training(lr=0.5)
print(sorted(heavy & set(sys.modules)))
fastmlp.initialise(fastmlp.Architecture(3, (), 2))
fastmlp.reference
print(sorted(heavy & set(sys.modules)))
"""
    ran = python(script)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["[]", "[]", "['numpy']"]


def test_import_loads_a_dozen_modules_at_most():
    ran = python("import sys; bare = {*sys.modules}; import fastmlp; print(*{*sys.modules} - bare)")
    assert ran.returncode == 0, ran.stderr
    assert 0 < len(ran.stdout.split()) <= 12, ran.stdout


def test_every_public_name_resolves():
    for name in fastmlp.__all__:
        assert getattr(fastmlp, name) is not None
        assert name in dir(fastmlp)
    with pytest.raises(AttributeError, match="nothing"):
        fastmlp.nothing  # noqa: B018
    assert inspect.ismodule(fastmlp.kernels)
    assert inspect.ismodule(fastmlp.reference)


def test_what_needs_pytorch_says_what_to_install():
    script = """
import sys
sys.modules["torch"] = None
import fastmlp
try:
    fastmlp.torch.fit(None, None, None)
except ImportError as error:
    print(error)
"""
    assert python(script).stdout.startswith("fastmlp.torch needs PyTorch: pip install torch")


def test_names_for_the_type_checker_are_those_of_the_import():
    tree = tree_of((ROOT / "fastmlp" / "__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    told = {
        alias.name: node.module.removeprefix("fastmlp.")
        for node in block.body
        for alias in node.names
        if node.module != "fastmlp"
    }
    assert told == {**fastmlp._HOMES, **fastmlp._EXTRAS}
    assert set(fastmlp.__all__) == {*fastmlp._HOMES, *fastmlp._MODULES, "__version__"}


# --- what is shipped ----------------------------------------------------------------------------


def configured():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_packages_are_the_folders_on_disk():
    tool = configured()["tool"]["setuptools"]
    on_disk = {module_of(path) for path in SOURCES if path.endswith("__init__.py")}
    assert sorted(tool["packages"]) == sorted(on_disk)
    assert tool["package-dir"] == {"fastmlp_cli": "cli"}
    folders = {Path(path).parent.as_posix() for path in SOURCES}
    assert folders == {path.removesuffix("/__init__.py") for path in SOURCES if path.endswith("__init__.py")}
    assert (ROOT / "fastmlp" / "py.typed").is_file()


def test_cli_folder_is_flat():
    assert all(path.count("/") == 1 for path in SOURCES if path.startswith("cli/"))


def test_cli_is_no_top_level_module(tmp_path):
    ran = python("import fastmlp_cli; import cli", cwd=tmp_path)
    assert "No module named 'cli'" in ran.stderr
    for name in ("tests", "bench"):
        assert f"No module named '{name}'" in python(f"import {name}", cwd=tmp_path).stderr


def test_hard_dependencies_are_those_of_the_design():
    project = configured()["project"]
    names = {requirement.split(">")[0].split("=")[0].split("<")[0] for requirement in project["dependencies"]}
    assert names == {"numpy", "numba", "typer", "rich", "platformdirs", "safetensors"}
    assert configured()["tool"]["pytest"]["ini_options"]["filterwarnings"] == ["error"]
    assert "--benchmark-disable" not in str(configured()["tool"]["pytest"])


@pytest.mark.parametrize("path", sorted(SOURCES))
def test_every_module_says_what_it_holds(path):
    assert ast.get_docstring(tree_of(SOURCES[path].read_text())), f"{path} has no head comment"


# --- the files ----------------------------------------------------------------------------------

MOST = 500  # lines
FILES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for folder in ("fastmlp", "cli", "tests", "bench")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
NAMED = re.compile(r"[\w/.-]*\w\.(?:md|py)\b")
ELSEWHERE = {"keras/backend/common.py"}  # of Keras 2


def too_long(files: dict[str, str]) -> set[str]:
    """Files of more than MOST lines."""
    return {path for path, text in files.items() if text.count("\n") > MOST}


def prose(source: str) -> str:
    """Its comments and docstrings."""
    texts = [
        token.string
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    ]
    for node in ast.walk(tree_of(source)):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
            texts.append(ast.get_docstring(node) or "")
    return "\n".join(texts)


def unheard_of(source: str) -> set[str]:
    """Files that its comments and docstrings name, and the repository does not have."""
    there = {Path(path).name for path in FILES} | {p.name for p in (*ROOT.glob("*.md"), *ROOT.glob("*/*.md"))}
    suspects = {name for name in NAMED.findall(source) if Path(name).name not in there} - ELSEWHERE
    return suspects & set(NAMED.findall(prose(source))) if suspects else set()


def test_no_file_is_long():
    assert too_long({"short": "\n" * MOST, "long": "\n" * (MOST + 1)}) == {"long"}
    assert len(FILES) > 200
    assert too_long(FILES) == set()


def test_comments_name_files_that_are_there():
    text = "'''As in NOWHERE.md.'''\nx = 'no.py'  # see kernels/nowhere.py, and README.md\n"
    assert unheard_of(text) == {"NOWHERE.md", "kernels/nowhere.py"}
    assert {path: found for path, text in FILES.items() if (found := unheard_of(text))} == {}


@pytest.fixture
def reads_digits(mnist_folder):
    return mnist_folder


def test_what_asks_for_the_real_digits_is_marked(request, reads_digits):
    """The hook of conftest.py sees fixtures of fixtures too."""
    assert request.node.get_closest_marker("mnist")


def test_what_does_not_ask_cannot_find_them(request):
    assert not request.node.get_closest_marker("mnist")
    assert "FASTMLP_DATA" not in os.environ


# --- docstrings ---------------------------------------------------------------------------------

NO_OPENING = {
    "after", "as", "at", "because", "before", "between", "beside", "by", "for", "from", "how", "if", "in",
    "into", "of", "on", "over", "so", "than", "that", "to", "under", "what", "when", "where", "whether",
    "which", "while", "who", "whose", "why", "with", "within", "without",
}  # fmt: skip


def wrong_openings(source: str) -> list[str]:
    """Functions and classes whose docstring opens neither with a verb nor with a noun and its article."""
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    nodes = [node for node in ast.walk(tree_of(source)) if isinstance(node, defined)]
    openings = [((ast.get_docstring(node) or "").split() or [""])[0] for node in nodes]
    return [
        f"{node.name}: {opening}"
        for node, opening in zip(nodes, openings, strict=True)
        if opening.strip("`*,.:;()").lower() in NO_OPENING
    ]


def test_check_of_openings_goes_red():
    for source in (
        "def f():\n    'Of one batch.'",
        "class A:\n    def f(self):\n        'Whether it is.'",
        "class A:\n    '''\n    What it holds.\n    '''",
        "async def f():\n    'For each layer, its width.'",
    ):
        assert wrong_openings(source), source
    for source in ("def f():\n    'The width.'", "def f():\n    'Tell whether it is.'", "def f():\n    pass"):
        assert not wrong_openings(source), source


@pytest.mark.parametrize("path", sorted(SOURCES))
def test_docstrings_open_with_a_verb_or_a_noun(path):
    assert not wrong_openings(SOURCES[path].read_text())
