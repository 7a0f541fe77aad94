"""The loops that multiply, by themselves: products at every width, in registers."""

from __future__ import annotations

import re

import numpy as np
import pytest
from floats import f, same_bits
from numba import njit

from fastmlp.kernels import intrinsics, matmul
from fastmlp.kernels.intrinsics import address, shifted
from fastmlp.kernels.simd import Coded, Matrix

_WORD = np.int64(matmul.WORD)


@njit
def run_matmul(out, base, alpha, a, a_row, a_column, M, b, K, depth, vectors):
    """out begins at its second row; a and b at their second number; rows are 8 longer than their vectors."""
    width = 8 * vectors
    matmul.matmul(
        Matrix(address(out), width + 8, width + 8, 1), Matrix(address(base), 0, width, 1), alpha,
        Matrix(address(a), 1, a_row, a_column), M, Matrix(address(b), 1, width, 1), K, depth, vectors,
    )  # fmt: skip


@njit
def run_by_samples(out, begun, base, masks, n, table, codes, rows, vectors):
    width = 8 * vectors
    matmul.add_coded(
        Matrix(address(out), 8, width + 8, 1), begun, shifted(address(base), 5), np.float32(1),
        Coded(address(table), Matrix(address(codes), 0, _WORD, 1), address(masks)), n,
        Matrix(address(rows), 8, width + 8, 1), vectors, False,
    )  # fmt: skip


@njit
def run_by_inputs(out, alpha, masks, n, table, codes, rows, vectors):
    width = 8 * vectors
    matmul.add_coded(
        Matrix(address(out), width + 16, width + 8, 1), np.uint64(0xFFFFFFFFFFFFFFFF), address(out), alpha,
        Coded(address(table), Matrix(address(codes), 4, 1, _WORD), shifted(address(masks), 1)), n,
        Matrix(address(rows), 8, width + 8, 1), vectors, True,
    )  # fmt: skip


@njit
def run_add_row(out, at, x, row, row_at, vectors):
    matmul.add_row(shifted(address(out), at), x, shifted(address(row), row_at), vectors)


@njit
def run_transpose(masks, at):
    matmul.transpose(shifted(address(masks), at))


WIDTHS = range(1, 41)


@pytest.mark.slow
@pytest.mark.parametrize("transposed", [False, True])
def test_matmul_is_the_product_at_every_width(transposed):
    rng = np.random.default_rng(3)
    for vectors in WIDTHS:
        M, K, depth, width = (
            int(rng.integers(1, 20)),
            int(rng.integers(0, 150)),
            int(rng.integers(1, 65)),
            8 * vectors,
        )
        A, B = rng.normal(size=(M, K)).astype(f), rng.normal(size=(K, width)).astype(f)
        base, out = rng.normal(size=(M, width)).astype(f), np.full((M + 2, width + 8), 9, f)
        a = np.append(9, A.T if transposed else A).astype(f)
        a_m, a_k = (1, M) if transposed else (K, 1)
        run_matmul(out, base, f(0.5), a, a_m, a_k, M, np.append(f(9), B), K, depth, vectors)
        exact = base + 0.5 * (A.astype(np.float64) @ B)
        assert np.allclose(out[1:-1, :width], exact, rtol=0, atol=2e-5), vectors
        assert (out[[0, -1]] == 9).all()
        assert (out[:, width:] == 9).all()


def some_bits(rng, n):
    """(n, 64) of them, few, all or none, and as masks with others behind them."""
    present = rng.random((n, 64)) < rng.choice([0.0, 0.2, 1.0])
    masks = [sum(1 << t for t in range(64) if row[t]) for row in present]
    return present, np.array([*masks, 7, 8, 9], np.uint64)


def test_codes_by_samples_add_the_rows_of_their_bits_at_every_width():
    rng = np.random.default_rng(4)
    table = rng.normal(size=256).astype(f)
    for wanted in WIDTHS:
        vectors, n = matmul.padded_vectors(wanted), int(rng.integers(1, 9))
        assert wanted <= vectors <= wanted + 2 * (1 + wanted // 13)
        assert matmul.padded_vectors(vectors) == vectors
        width, (present, masks) = 8 * vectors, some_bits(rng, n)
        codes = rng.integers(0, 256, (n, 64)).astype(np.uint8)
        rows, out = rng.normal(size=(64, width + 8)).astype(f), rng.normal(size=(n + 1, width + 8)).astype(f)
        base, begun = rng.normal(size=width + 5).astype(f), rng.random(n) < 0.5
        before = out.copy()
        bits = np.uint64(sum(1 << i for i in range(n) if begun[i]))
        run_by_samples(out, bits, base, masks, n, table, codes, rows, vectors)
        values = np.where(present, table[codes], 0).astype(np.float64)
        kept = begun | ~present.any(axis=1)
        exact = np.where(kept[:, None], before[:n, 8:], base[5:]) + values @ rows[:, 8:]
        assert np.allclose(out[:n, 8:], exact, rtol=0, atol=2e-5), vectors
        out[:n, 8:] = before[:n, 8:]
        assert (out == before).all()


@pytest.mark.slow
def test_codes_by_inputs_add_the_rows_of_their_bits_at_every_width():
    rng = np.random.default_rng(5)
    table = rng.normal(size=256).astype(f)
    table[0] = 0
    for vectors in (matmul.padded_vectors(wanted) for wanted in WIDTHS):
        width, n = 8 * vectors, int(rng.integers(1, 9))
        present, masks = some_bits(rng, n + 1)
        codes = np.where(present, rng.integers(1, 256, (n + 1, 64)), 0).astype(np.uint8)
        by_sample = np.zeros((64, 64), np.uint8)
        by_sample[:, 3 : 4 + n] = codes.T
        rows, out = rng.normal(size=(64, width + 8)).astype(f), rng.normal(size=(n + 2, width + 8)).astype(f)
        before = out.copy()
        run_by_inputs(out, f(-0.5), masks, n, table, by_sample, rows, vectors)
        values = table[codes[1:]].astype(np.float64)
        exact = before[1:-1, 8:] - 0.5 * (values @ rows[:, 8:])
        assert np.allclose(out[1:-1, 8:], exact, rtol=0, atol=2e-5), vectors
        out[1:-1, 8:] = before[1:-1, 8:]
        assert (out == before).all()


def test_add_row_adds_at_every_width():
    rng = np.random.default_rng(5)
    for vectors in WIDTHS:
        row, out = rng.normal(size=5 + 8 * vectors).astype(f), rng.normal(size=8 * vectors + 7).astype(f)
        before = out.copy()
        run_add_row(out, 3, f(0.3), row, 5, vectors)
        same_bits(out[3:-4], intrinsics.rounded_once(f(0.3), row[5:], before[3:-4]))
        assert (out[:3] == before[:3]).all()
        assert (out[-4:] == before[-4:]).all()


def test_transpose_of_a_square_of_bits():
    rng = np.random.default_rng(6)
    for masks in (rng.integers(0, 2**64, 130, dtype=np.uint64), np.arange(130, dtype=np.uint64)):
        bits = np.unpackbits(masks.view(np.uint8), bitorder="little").reshape(130, 64)
        want = np.packbits(bits[1:65].T, bitorder="little").view(np.uint64)
        ends = masks[[0, -1]].copy()
        run_transpose(masks, 1)
        assert (masks[1:65] == want).all()
        assert (masks[[0, -1]] == ends).all()


def inner_loops(assembly):
    """The straight pieces of code that jump back to their own beginning."""
    pieces, name, lines = [], None, []
    for line in assembly.splitlines():
        label = re.match(r"(\.?L\w+):", line)
        if label:
            name, lines = label[1], []
        elif line.startswith("\t") and not line.startswith("\t."):
            lines.append(line)
            if name and re.match(rf"\tj\w+\s+{re.escape(name)}$", line):
                pieces.append("\n".join(lines))
    return pieces


@pytest.mark.parametrize("of", ["product", "samples", "inputs"])
def test_tiles_stay_in_registers(of):
    """No accumulator goes to memory within a loop, where there are 16 registers of 8 lanes and a fma."""
    if of == "product":
        test_matmul_is_the_product_at_every_width(False)
    elif of == "samples":
        test_codes_by_samples_add_the_rows_of_their_bits_at_every_width()
    else:
        test_codes_by_inputs_add_the_rows_of_their_bits_at_every_width()
    compiled = {"product": run_matmul, "samples": run_by_samples, "inputs": run_by_inputs}[of]
    (assembly,), (llvm,) = compiled.inspect_asm().values(), compiled.inspect_llvm().values()
    assert "<8 x float>" in llvm
    assert not re.search(r"alloca .*<(8|16) x float>", llvm)
    loops = [piece for piece in inner_loops(assembly) if re.search(r"vfmadd.*%[yz]mm", piece)]
    if re.search(r"vfmadd.*%[yz]mm", assembly):
        most = max(
            len(re.findall(r"vfmadd.*%[yz]mm", piece)) + len(re.findall(r"vfmadd.*%zmm", piece))
            for piece in loops
        )
        assert most >= 12, most  # vectors of 8: 4 x 3, or 13 x 1
        spilling = [piece for piece in loops if re.search(r"vmov[au]ps.*\(%[re]?[sb]p\)", piece)]
        assert not spilling, spilling[0]
