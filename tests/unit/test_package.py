"""The package as a whole: who imports whom, what an import costs, what is forbidden, what is shipped.

Every check here is a function of source text, and is fed something wrong first.
"""

from __future__ import annotations

import ast
import inspect
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fastmlp

ROOT = Path(__file__).parents[2]
SOURCES = {
    **{f"fastmlp/{p.relative_to(ROOT / 'fastmlp')}": p for p in (ROOT / "fastmlp").rglob("*.py")},
    **{f"cli/{p.relative_to(ROOT / 'cli')}": p for p in (ROOT / "cli").rglob("*.py")},
}

# A module imports only from the lines above it. A folder counts as one module;
# inside it, imports must have no cycle. ``fastmlp`` itself only says where its names live.
LINES = [
    {"fastmlp.errors", "fastmlp.forks"},
    {"fastmlp.checks"},
    {"fastmlp.cache_dir", "fastmlp.losses", "fastmlp.optimizers", "fastmlp.random"},
    {"fastmlp.spec"},
    {"fastmlp.files"},
    {"fastmlp.net"},
    {"fastmlp.backends"},
    {"fastmlp.data"},
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


def module_of(path: str) -> str:
    """fastmlp/kernels/layout.py -> fastmlp.kernels.layout."""
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return f"fastmlp_{name}" if name.split(".")[0] == "cli" else name


def imports_of(source: str, name: str) -> set[str]:
    """Modules of ours that a source imports, anywhere in it; those for type checking alone do not count."""
    modules = {module_of(path) for path in SOURCES}
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
                    found.add(whole if whole in modules else base)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(source))
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
    top_level = {}
    for path, file in SOURCES.items():
        tree = ast.parse(file.read_text())
        tree.body = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
        name = module_of(path)
        top_level[name] = imports_of(ast.unparse(tree), name) - {"fastmlp"}
    assert not cycle(top_level)


# --- forbidden options --------------------------------------------------------------------------


def forbidden(source: str, name: str) -> list[str]:
    """fastmath in any form, cache=True outside kernels/jit.py, pickles outside kernels/cache.py."""
    found = []
    tree = ast.parse(source)
    texts = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword | ast.arg) and node.arg == "fastmath":
            found.append("fastmath")
        if isinstance(node, ast.Name) and node.id == "fastmath":
            found.append("fastmath")
        if isinstance(node, ast.Attribute) and node.attr == "fastmath":
            found.append("fastmath")
        if isinstance(node, ast.Constant) and node.value == "fastmath":
            found.append("fastmath")
        if isinstance(node, ast.Constant) and "fastmath" in str(node.value) and id(node) not in texts:
            found.append("fastmath")
        if name != "fastmlp.kernels.jit":
            if isinstance(node, ast.Call):
                compiler = ast.unparse(node.func).endswith(("jit", "vectorize", "cfunc", "stencil"))
                told = {word.arg: ast.unparse(word.value) for word in node.keywords}
                found += ["cache"] * ("cache" in told and (compiler or told["cache"] == "True"))
            if isinstance(node, ast.Dict):
                pairs = [(key and ast.unparse(key), ast.unparse(value)) for key, value in node_items(node)]
                found += ["cache"] * pairs.count(("'cache'", "True"))
            if isinstance(node, ast.Attribute) and node.attr == "enable_caching":
                found.append("cache")
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            allowed = ("pickle",) if name == "fastmlp.kernels.cache" else ()  # sums are checked first
            pickles = {"pickle", "dill", "shelve", "marshal"}.difference(allowed)
            found += [n for n in names if n.split(".")[0] in pickles]
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            found += ["allow_pickle"] * (ast.unparse(node.value) != "False")
    return found


def node_items(node: ast.Dict):
    return zip(node.keys, node.values, strict=True)


def test_linter_of_options_goes_red():
    for source in (
        "njit(fastmath=True)(f)",
        "@njit(fastmath={'contract'})\ndef f(): pass",
        "options = {'fastmath': True}",
        "options = dict(fastmath=False)",
        "flags = 'nogil fastmath'",
        "f.targetoptions.fastmath = True",
        "def jit(fastmath): pass",
        "njit(cache=True)",
        "@numba.njit(nogil=True, cache=ON)\ndef f(): pass",
        "kernel(f, cache=True)",
        "options = {'cache': True}",
        "f.enable_caching()",
        "import pickle",
        "from pickle import loads",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=trusted)",
    ):
        assert forbidden(source, "fastmlp.train.loop"), source
    for source in (
        "'''Never fastmath.'''",
        "def f():\n    '''No fastmath.'''",
        "np.load(path, allow_pickle=False)",
        "status = {'cache': folder, 'x': 'cache'}",
    ):
        assert not forbidden(source, "fastmlp.train.loop"), source
    assert not forbidden("njit(cache=True)", "fastmlp.kernels.jit")
    assert forbidden("njit(fastmath=True)", "fastmlp.kernels.jit")
    assert not forbidden("import pickle", "fastmlp.kernels.cache")
    assert forbidden("import marshal", "fastmlp.kernels.cache")


@pytest.mark.parametrize("path", sorted(SOURCES))
def test_no_forbidden_options(path):
    assert not forbidden(SOURCES[path].read_text(), module_of(path))


def test_compiled_functions_really_have_no_fastmath():
    """What Numba was told, not only what the source says."""
    from numba.core.dispatcher import Dispatcher

    from fastmlp.kernels import activations, epoch, simd, team

    seen = 0
    for module in (activations, epoch, simd, team):
        for value in vars(module).values():
            if isinstance(value, Dispatcher):
                assert not value.targetoptions.get("fastmath")
                assert value.targetoptions["nogil"]
                assert value.targetoptions["error_model"] == "numpy"
                seen += 1
    assert seen > 15


# --- the cache of compiled code -----------------------------------------------------------------

WARM = """
import warnings
warnings.simplefilter("error")
from fastmlp.kernels import jit
print(jit.cache_folder(), jit.is_kept())
"""


def run(script, cwd=None, **environment):
    import os

    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, timeout=120, cwd=cwd, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME moves the cache on Linux alone")
def test_cache_folder_is_private_and_named_by_the_source(tmp_path):
    ran = run(WARM, cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    folder, warm = ran.stdout.split()
    assert warm == "False"
    assert Path(folder).is_relative_to(tmp_path)
    assert Path(folder).stat().st_mode & 0o777 == 0o700
    assert not [path for path in Path(folder).rglob("*") if path.is_file()]  # nothing was compiled
    copy = tmp_path / "src"
    shutil.copytree(ROOT / "fastmlp", copy / "fastmlp", ignore=shutil.ignore_patterns("__pycache__"))
    # not from here: the working folder would come before PYTHONPATH
    same = run(WARM, cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path), PYTHONPATH=str(copy))
    assert same.stdout.split()[0] == folder
    for changed in ("activations.py", "epoch.py", "__init__.py"):
        with (copy / "fastmlp" / "kernels" / changed).open("a") as file:
            file.write("# changed\n")
        other = run(WARM, cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path), PYTHONPATH=str(copy))
        assert other.returncode == 0, other.stderr
        assert other.stdout.split()[0] != folder
        folder = other.stdout.split()[0]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME moves the cache on Linux alone")
@pytest.mark.parametrize("level", [0, 1, 2])
def test_cache_folder_that_others_may_write_is_not_used(tmp_path, level):
    folder = Path(run(WARM, XDG_CACHE_HOME=str(tmp_path)).stdout.split()[0])
    made = [folder, *folder.parents][level]
    assert made.stat().st_mode & 0o777 == 0o700
    made.chmod(0o777)
    script = "import fastmlp.kernels.jit as jit; print(jit.cache_folder(), jit.is_kept())"
    ran = run(script, XDG_CACHE_HOME=str(tmp_path))
    assert ran.stdout.split() == ["None", "False"]
    assert ran.stderr.count("RuntimeWarning") == 1
    assert "nobody else may write" in ran.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME moves the cache on Linux alone")
def test_import_works_where_nothing_can_be_cached(tmp_path):
    (tmp_path / "file").write_text("in the way")
    script = "from fastmlp import kernels; print('fine')"
    ran = run(script, XDG_CACHE_HOME=str(tmp_path / "file"))
    assert ran.stdout.strip() == "fine", ran.stderr
    assert ran.stderr.count("RuntimeWarning") == 1
    assert "compiled again in every process" in ran.stderr


def test_nothing_is_cached_beside_the_source():
    found = [*ROOT.rglob("*.nb[ic]"), *ROOT.rglob("*.kernel"), *ROOT.rglob("*.unpacked")]
    assert not [p for p in found if ".venv" not in p.parts]


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
    ran = run(script)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["[]", "[]", "['numpy']"]


def test_import_loads_a_dozen_modules_at_most():
    ran = run("import sys; bare = {*sys.modules}; import fastmlp; print(*{*sys.modules} - bare)")
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
    assert run(script).stdout.startswith("fastmlp.torch needs PyTorch: pip install torch")


def test_names_for_the_type_checker_are_those_of_the_import():
    tree = ast.parse((ROOT / "fastmlp" / "__init__.py").read_text())
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
    ran = run("import fastmlp_cli; import cli", cwd=tmp_path)
    assert "No module named 'cli'" in ran.stderr
    for name in ("tests", "bench"):
        assert f"No module named '{name}'" in run(f"import {name}", cwd=tmp_path).stderr


def test_hard_dependencies_are_those_of_the_design():
    project = configured()["project"]
    names = {requirement.split(">")[0].split("=")[0].split("<")[0] for requirement in project["dependencies"]}
    assert names == {"numpy", "numba", "typer", "rich", "platformdirs", "safetensors"}
    assert configured()["tool"]["pytest"]["ini_options"]["filterwarnings"] == ["error"]
    assert "--benchmark-disable" not in str(configured()["tool"]["pytest"])


@pytest.mark.parametrize("path", sorted(SOURCES))
def test_every_module_says_what_it_holds(path):
    assert ast.get_docstring(ast.parse(SOURCES[path].read_text())), f"{path} has no head comment"
