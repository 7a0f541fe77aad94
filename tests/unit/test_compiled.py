"""What is compiled: with no forbidden options, and cached in a folder that nobody else may write.

Every check of source text is fed something wrong first.
"""

from __future__ import annotations

import ast
import shutil
import sys
from pathlib import Path

import pytest
from sources import ROOT, SOURCES, module_of, python, tree_of

# --- forbidden options --------------------------------------------------------------------------


def forbidden(source: str, name: str) -> list[str]:
    """fastmath in any form, cache=True outside kernels/jit.py, pickles outside kernels/cache.py."""
    found = []
    tree = tree_of(source)
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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME moves the cache on Linux alone")
def test_cache_folder_is_private_and_named_by_the_source(tmp_path):
    ran = python(WARM, cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    folder, warm = ran.stdout.split()
    assert warm == "False"
    assert Path(folder).is_relative_to(tmp_path)
    assert Path(folder).stat().st_mode & 0o777 == 0o700
    assert not [path for path in Path(folder).rglob("*") if path.is_file()]  # nothing was compiled
    copy = tmp_path / "src"
    shutil.copytree(ROOT / "fastmlp", copy / "fastmlp", ignore=shutil.ignore_patterns("__pycache__"))
    # not from here: the working folder would come before PYTHONPATH
    same = python(WARM, cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path), PYTHONPATH=str(copy))
    assert same.stdout.split()[0] == folder
    for changed in ("activations.py", "epoch.py", "__init__.py"):
        with (copy / "fastmlp" / "kernels" / changed).open("a") as file:
            file.write("# changed\n")
        other = python(WARM, cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path), PYTHONPATH=str(copy))
        assert other.returncode == 0, other.stderr
        assert other.stdout.split()[0] != folder
        folder = other.stdout.split()[0]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME moves the cache on Linux alone")
@pytest.mark.parametrize("level", [0, 1, 2])
def test_cache_folder_that_others_may_write_is_not_used(tmp_path, level):
    folder = Path(python(WARM, XDG_CACHE_HOME=str(tmp_path)).stdout.split()[0])
    made = [folder, *folder.parents][level]
    assert made.stat().st_mode & 0o777 == 0o700
    made.chmod(0o777)
    script = "import fastmlp.kernels.jit as jit; print(jit.cache_folder(), jit.is_kept())"
    ran = python(script, XDG_CACHE_HOME=str(tmp_path))
    assert ran.stdout.split() == ["None", "False"]
    assert ran.stderr.count("RuntimeWarning") == 1
    assert "nobody else may write" in ran.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME moves the cache on Linux alone")
def test_import_works_where_nothing_can_be_cached(tmp_path):
    (tmp_path / "file").write_text("in the way")
    script = "from fastmlp import kernels; print('fine')"
    ran = python(script, XDG_CACHE_HOME=str(tmp_path / "file"))
    assert ran.stdout.strip() == "fine", ran.stderr
    assert ran.stderr.count("RuntimeWarning") == 1
    assert "compiled again in every process" in ran.stderr


def test_nothing_is_cached_beside_the_source():
    found = [*ROOT.rglob("*.nb[ic]"), *ROOT.rglob("*.kernel")]
    assert not [p for p in found if ".venv" not in p.parts]
