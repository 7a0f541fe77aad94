"""Mutants: small valid files of every kind that is read, damaged by a seed, and what came of reading them.

    python tests/support/mutants.py COUNT SEED [READER ...]

prints a line of JSON a reader. What is packed (gzip, zip) or has a length before it is damaged inside
too, and packed anew: else a reader's sums are all that is tested.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import resource
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Damage = Callable[[np.random.Generator, bytes], bytes]

RAW = (  # JSON that may stand in the place of a value
    "1e400", "-1e400", "NaN", "-Infinity", "9" * 400, "9" * 5000, "-1", "0", "1.5", "true", "false", "null",
    '""', '"' + "x" * 5000 + '"', '"\\ud800"', '"a\\u0000b"', '"~nosuchuser"', "[]", "{}", "[[]]", "[null]",
    "2147483648", "9223372036854775808", "18446744073709551616", "1e30", "1e-320", "[" * 100_000, "[1, [2]]",
    '{"a": 1}', '{"lr": 0.1}', '"relu"', '"adam"', "1" + "0" * 19,
)  # fmt: skip
FIELDS = (
    b"\xff" * 4, b"\xff" * 8, b"\0" * 4, b"\0" * 8, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\1\0\0",
    b"\0\0\0\1",
)  # fmt: skip
TEXTS = (
    b"9" * 400, b"9" * 5000, b"-1", b"1e400", b"nan", b"inf", b"-0", b"0x10", b"1_0", b"\xff", b"\0", b"\n",
    b"\r", b'"', b",", b"'", b"(", b"{", b"[" * 1000, b"\xef\xbb\xbf", b"\xd9\xa3",
)  # fmt: skip


# --- damage -----------------------------------------------------------------------------------------


def damaged(rng: np.random.Generator, whole: bytes, others: list[bytes]) -> bytes:
    """``whole`` with one to four things done to it; ``others``: files to splice it with."""
    content = bytearray(whole)
    for _ in range(int(rng.integers(1, 5))):
        at, span = int(rng.integers(len(content) + 1)), int(rng.integers(1, 17))
        if rng.random() < 0.5:  # headers are where damage tells
            at = min(at, int(rng.integers(1, 97)))
        match int(rng.integers(10)):
            case 0 | 1 if content:
                content[min(at, len(content) - 1)] ^= 1 << int(rng.integers(8))
            case 2:
                content[at:at] = rng.bytes(span)
            case 3:
                del content[at : at + span]
            case 4:
                del content[at:]
            case 5:
                content[at:at] = content[at : at + 8 * span]
            case 6:
                there = int(rng.integers(len(content) + 1))
                one, two = bytes(content[at : at + span]), bytes(content[there : there + span])
                content[at : at + span] = two
                content[there : there + span] = one
            case 7:
                filler = FIELDS[rng.integers(len(FIELDS))]
                content[at : at + len(filler)] = filler
            case 8:
                numbers = list(re.finditer(rb"\d+", content))
                piece = TEXTS[rng.integers(len(TEXTS))]
                if numbers:
                    found = numbers[rng.integers(len(numbers))]
                    content[found.start() : found.end()] = piece
                else:
                    content[at:at] = piece
            case 9 if others:
                other = others[rng.integers(len(others))]
                content[at:] = other[int(rng.integers(len(other) + 1)) :]
    return bytes(content)


def damaged_json(rng: np.random.Generator, text: bytes) -> bytes:
    """JSON with a value somewhere in it replaced, an entry taken out, or one put in."""
    document = json.loads(text)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            places.append((node, key))
            if isinstance(value, dict | list):
                walk(value)

    walk(document)
    node, key = places[rng.integers(len(places))]
    if rng.random() < 0.15:
        del node[key]
        return json.dumps(document).encode()
    if rng.random() < 0.1 and isinstance(node, dict):
        key = "strange"
    inner = node.get(key) if isinstance(node, dict) else node[key]
    if isinstance(inner, str) and inner.startswith("{") and rng.random() < 0.9:  # JSON in JSON
        node[key] = damaged_json(rng, inner.encode()).decode(errors="replace")
        return json.dumps(document).encode()
    node[key] = "@@"
    return json.dumps(document).replace('"@@"', RAW[rng.integers(len(RAW))]).encode()


def in_safetensors(rng: np.random.Generator, whole: bytes) -> bytes:
    """A safetensors file whose header is damaged as JSON, with its length put right."""
    (length,) = struct.unpack("<Q", whole[:8])
    header = damaged_json(rng, whole[8 : 8 + length])
    return struct.pack("<Q", len(header)) + header + whole[8 + length :]


def in_gzip(rng: np.random.Generator, whole: bytes) -> bytes:
    return gzip.compress(damaged(rng, gzip.decompress(whole), []), 1, mtime=0)


def in_zip(rng: np.random.Generator, whole: bytes) -> bytes:
    """A zip of the same members, one of them damaged, or under another's name."""
    with zipfile.ZipFile(io.BytesIO(whole)) as file:
        members = [(name, file.read(name)) for name in file.namelist()]
    at = int(rng.integers(len(members)))
    name, content = members[at]
    members[at] = name, damaged(rng, content, [other for _, other in members])
    if rng.random() < 0.1:
        members.append(members[rng.integers(len(members))])
    packed = io.BytesIO()
    method = int(rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    with warnings.catch_warnings(), zipfile.ZipFile(packed, "w", method) as file:
        warnings.simplefilter("ignore")  # two of a name
        for name, content in members:
            file.writestr(name, content)
    return packed.getvalue()


def in_lines(rng: np.random.Generator, whole: bytes) -> bytes:
    """One line of several, damaged as JSON."""
    lines = whole.splitlines(keepends=True)
    at = int(rng.integers(len(lines)))
    lines[at] = damaged_json(rng, lines[at]) + b"\n"
    return b"".join(lines)


# --- what is read -----------------------------------------------------------------------------------


@dataclass
class Reader:
    """name: of the reader; files: what stands there, whole; damages: those of its own, inside.

    read: what raises FastMLPError, or takes the file and asserts what must hold then.
    """

    name: str
    files: dict[Path, bytes]
    read: Callable[[], object]
    damages: tuple[Damage, ...] = ()
    mutated: tuple[Path, ...] = ()
    quiet: bool = False  # its warnings are its answer


def readers(folder: Path) -> list[Reader]:
    """Every public reader, with files of its own in ``folder``."""
    made = [*_of_data(folder), *_of_models(folder), *_of_runs(folder), *_of_caches(folder)]
    for reader in made:
        for path, content in reader.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        reader.mutated = reader.mutated or tuple(reader.files)
    return made


def _saved(save: Callable[..., Any], *args: Any, **kwargs: Any) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *args, **kwargs)
    return buffer.getvalue()


def _idx(array: np.ndarray) -> bytes:
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return head + array.tobytes()


def _of_data(folder: Path) -> list[Reader]:
    from fastmlp.data import load, read_images, read_test
    from fastmlp.data.table import Table

    X = np.arange(8 * 3 * 3, dtype=np.uint8).reshape(8, 3, 3)
    y = np.arange(8, dtype=np.uint8) % 2
    table = b"label,a,b\r\n" + b"".join(b"%d,%d,%d.5\n" % (i % 2, i, i) for i in range(9))
    images, labels = _idx(X), _idx(y)
    pairs = {
        f"idx/{part}-{name}": content
        for part in ("train", "t10k")
        for name, content in (("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels))
    }
    made = {
        "IDX": ({"a/images.idx": images, "a/labels.idx": labels}, ()),
        "IDX gzip": ({f"b/{n}.gz": gzip.compress(c, mtime=0) for n, c in
                      (("images.idx", images), ("labels.idx", labels))}, (in_gzip,)),
        "IDX folder": (pairs, ()),
        "npz": ({"c/a.npz": _saved(np.savez, X=X, y=y, X_test=X[:2], y_test=y[:2])}, (in_zip,)),
        "npz packed": ({"d/a.npz": _saved(np.savez_compressed, x_train=X / 7, y_train=y)}, (in_zip,)),
        "npy": ({"e/X.npy": _saved(np.save, X.astype(np.float32) / 3), "e/y.npy": _saved(np.save, y)}, ()),
        "CSV": ({"f/a.csv": table}, ()),
        "CSV integers": ({"g/a.csv": table.replace(b".5", b"")}, ()),
        "CSV gzip": ({"h/a.csv.gz": gzip.compress(table, mtime=0)}, (in_gzip,)),
    }  # fmt: skip

    def reads(path: Path) -> Callable[[], object]:
        def read() -> None:
            for function in (load, read_test, read_images):
                found = function(path)
                rows = found[0] if isinstance(found, tuple) else found.numeric().X
                if isinstance(rows, Table):
                    assert len(rows)
                    continue
                assert rows.dtype in (np.uint8, np.float32)
                assert rows.size
                assert np.isfinite(rows).all()

        return read

    def environment() -> None:
        text = (folder / "z" / "environment").read_bytes().replace(b"\0", b"")
        os.environb[b"FASTMLP_DATA"] = text or b"x"
        try:
            load()
        finally:
            del os.environ["FASTMLP_DATA"]

    found = []
    for name, (files, damages) in made.items():
        paths = {folder / file: content for file, content in files.items()}
        target = folder / "idx" if name == "IDX folder" else next(iter(paths))
        found.append(Reader(name, paths, reads(target), damages))
    value = os.fsencode(folder / "c" / "a.npz")
    return [*found, Reader("FASTMLP_DATA", {folder / "z" / "environment": value}, environment)]


def _of_models(folder: Path) -> list[Reader]:
    import fastmlp
    from fastmlp import Architecture, Model, Training, initialise, keras

    net = Architecture(3, (4,), 2)
    mean = np.ones(3, np.float32)
    whole = fastmlp.Net(net, initialise(net), fastmlp.Preprocessing(2.0, mean))
    model = Model(whole, (0, 7), Training(hidden=4, center=True), "numpy")
    model.save(folder / "model")
    facade = keras.Sequential(
        [keras.layers.Dense(4, "relu", input_dim=3), keras.layers.Dense(2, "softmax")], name="net"
    )
    facade.compile(keras.optimizers.Adam(), "categorical_crossentropy", ["accuracy"])
    facade.save(folder / "keras")
    paths = {name: folder / "m" / name / "model.safetensors" for name in ("model", "keras")}
    contents = {name: (folder / name).read_bytes() for name in paths}
    row = np.ones((1, 3), np.float32)

    def allow() -> None:  # exactly what was written before there was a sum: taken, and said so
        warnings.filterwarnings("ignore", message=".* is of an older fastmlp", category=UserWarning)

    def load() -> None:
        allow()
        loaded = Model.load(paths["model"])
        row = np.ones((1, loaded.architecture.inputs), np.float32)
        p = fastmlp.reference.predict_proba(loaded.net, row)
        assert p.shape == (1, len(loaded.classes))

    def load_keras() -> None:
        allow()
        loaded = keras.models.load_model(paths["keras"])
        loaded.backend = "numpy"
        loaded.predict(row[:, : loaded.inputs], verbose=0)

    return [
        Reader("model", {paths["model"]: contents["model"]}, load, (in_safetensors,) * 3),
        Reader("keras model", {paths["keras"]: contents["keras"]}, load_keras, (in_safetensors,) * 3),
    ]


def _of_runs(folder: Path) -> list[Reader]:
    from fastmlp_cli.train import _weights

    import fastmlp
    from fastmlp import Architecture, Model, Training, fit, initialise
    from fastmlp.runs import load_model, recorded_data, recorded_training
    from fastmlp.study.store import Record, Store
    from fastmlp.train.checkpoint import CHECKPOINT
    from fastmlp.train.checkpoint import read as read_checkpoint

    run = folder / "run"
    config = {
        "version": "1", "config": Training(class_weight=(1.0, 2.0)).to_json(), "seed": 0,
        "arguments": {"data": "mnist", "test_data": None, "label": None},
    }  # fmt: skip
    kept, data = folder / "study", "d" * 64
    with Store(folder / "filled", data) as store:
        for seed in range(3):
            store.add(Training(seed=seed), Record(0.9, 0.25, (0.5, 0.25), 3, 0.75, None, 1.5))
    lines = (folder / "filled" / "nets.jsonl").read_bytes()
    weights = folder / "weights.npy"
    net = Architecture(3, (4,), 2)
    model = Model(fastmlp.Net(net, initialise(net)), (0, 7))
    model.save(folder / "summed")
    summed = {folder / "ended" / "model.safetensors": (folder / "summed").read_bytes()}
    summary = folder / "ended" / "summary.json"
    ended = {"status": "finished", "weights_sha256": model.parameters.sha256()}

    kept_by_fit = folder / "fitted"
    fit(np.eye(8), np.arange(8) % 2, hidden=4, epochs=2, optimizer="adam", validation=0.2, patience=1,
        backend="numpy", checkpoint=kept_by_fit)  # fmt: skip
    point = {folder / "point" / CHECKPOINT: (kept_by_fit / CHECKPOINT).read_bytes()}

    def runs() -> None:
        recorded_data(run / "model.safetensors")
        recorded_training(run)

    def nets() -> None:
        with Store(kept, data) as store:
            found = [store.get(Training(seed=seed)) for seed in range(3)]
        assert all(record is None or 0 <= record.accuracy <= 1 for record in found)

    return [
        Reader("run's config.json", {run / "config.json": json.dumps(config).encode()}, runs,
               (damaged_json,) * 3),
        Reader("run's summary.json", summed | {summary: json.dumps(ended).encode()},
               lambda: load_model(summary.parent), (damaged_json,) * 3, (summary,)),
        Reader("checkpoint", point, lambda: read_checkpoint(*point), (in_safetensors,)),
        Reader("study's nets.jsonl", {kept / "nets.jsonl": lines}, nets, (in_lines,) * 3),
        Reader("sample weights", {weights: _saved(np.save, np.ones(8))}, lambda: _weights(str(weights), 8)),
    ]  # fmt: skip


def _of_caches(folder: Path) -> list[Reader]:
    from fastmlp import cache_dir
    from fastmlp.data import idx
    from fastmlp.kernels import cache, jit

    home, code = folder / "cache", folder / "kernels"
    cache_dir.home = lambda: home  # type: ignore[assignment]
    idx.LARGE = 10
    true = np.arange(3000, dtype=np.uint8).reshape(3, 1000) // 8
    source = folder / "u" / "images.idx.gz"
    source.parent.mkdir()
    source.write_bytes(gzip.compress(_idx(true), mtime=0))
    idx.read(source)
    (copy,) = (home / "unpacked").iterdir()

    def total(x: Any) -> Any:
        result = np.float32(0)
        for value in x:
            result += value
        return result

    code.mkdir()
    folder_of, jit.cache_folder = jit.cache_folder, lambda: code  # type: ignore[assignment]
    compiled = jit.kernel(total)
    jit.cache_folder = folder_of
    compiled(np.ones(3, np.float32))
    (kernel,) = code.iterdir()
    (signature,) = compiled.signatures
    context = compiled.targetctx

    def kernels() -> None:
        cache.is_whole(kernel)
        if compiled._cache.load_overload(signature, context) is None:
            raise Refused

    def copies() -> None:
        assert np.array_equal(idx.read(source), true)

    return [
        Reader("unpacked copy", {copy: copy.read_bytes()}, copies),
        Reader("kernel", {kernel: kernel.read_bytes()}, kernels, quiet=True),
    ]


class Refused(Exception):
    """What a cache cannot use, it says to nobody."""


# --- the count --------------------------------------------------------------------------------------


@dataclass
class Count:
    """What came of a reader's mutants. seconds: of the processor, that the slowest took."""

    reader: str
    refused: int = 0
    accepted: int = 0
    seconds: float = 0.0
    mebibytes: float = 0.0
    wrong: list[str] = field(default_factory=list)

    @property
    def mutants(self) -> int:
        return self.refused + self.accepted + len(self.wrong)


def count(reader: Reader, mutants: int, seed: int, most_seconds: float = 10.0) -> Count:
    """Read so many mutants: the FastMLPErrors and the successes are counted, all else is wrong."""
    from fastmlp.errors import FastMLPError

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reader.read()  # whole, and what is loaded at the first call is
    result, before = Count(reader.name), address_space()
    for number in range(mutants):
        rng = np.random.default_rng([seed, number])
        path = reader.mutated[rng.integers(len(reader.mutated))]
        whole = reader.files[path]
        if reader.damages and rng.random() < 0.6:
            content = reader.damages[rng.integers(len(reader.damages))](rng, whole)
        else:
            content = damaged(rng, whole, list(reader.files.values()))
        path.write_bytes(content)
        started, problem = time.process_time(), ""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore" if reader.quiet else "error")
                reader.read()
            result.accepted += 1
        except (FastMLPError, Refused) as error:
            text = str(error)
            if "memory" in text or len(text) > 10_000:
                problem = text[:200]
            else:
                result.refused += 1
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            problem = f"{type(error).__name__}: {str(error)[:150]} ({where.filename}:{where.lineno})"
        took = time.process_time() - started
        result.seconds = max(result.seconds, took)
        if took > most_seconds:
            problem = problem or f"{took:.2f} s"
        if problem:
            result.wrong.append(f"[{seed}, {number}] {path.name}: {problem}")
        path.write_bytes(whole)
    result.mebibytes = (address_space() - before) / 2**20
    return result


def address_space() -> int:
    """The most bytes that this process ever had mapped; 0 where that is not known."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return int(re.findall(r"VmPeak:\s+(\d+) kB", status)[0]) * 1024


def begin_threads() -> None:
    """Begin the threads of pyarrow, each of which maps memory that it may never use."""
    try:
        from pyarrow import compute, csv
    except ImportError:
        return
    table = csv.read_csv(io.BytesIO(b"a,b\n" + b"1,x\n" * 100_000), csv.ReadOptions(block_size=1 << 12))
    table.sort_by("b")
    compute.utf8_trim(table["b"], " ")


def main(mutants: int, seed: int, names: list[str]) -> None:
    begin_threads()
    soft = address_space() + (8 << 30)  # a bomb must not take the machine with it
    if address_space():
        resource.setrlimit(resource.RLIMIT_AS, (soft, soft))
    with tempfile.TemporaryDirectory() as folder:
        for reader in readers(Path(folder)):
            if not names or reader.name in names:
                print(json.dumps(vars(count(reader, mutants, seed))), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
