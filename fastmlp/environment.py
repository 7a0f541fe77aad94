"""What a training ran on, as plain data: versions, processor, cores, compiled code. Prints nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from fastmlp import __version__
from fastmlp.backends import threads
from fastmlp.spec import NUMERICS_REVISION

PACKAGES = ("numpy", "numba", "llvmlite", "safetensors", "platformdirs", "typer", "rich")
SETTINGS = ("FASTMLP_", "NUMBA_", "OMP_", "OPENBLAS_", "MKL_")  # beginnings of variables that matter here
SIMD = ("sse4.2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512vnni", "neon", "sve")
LAYERS = {"tbb": "tbbpool", "omp": "omppool", "workqueue": "workqueue"}


def describe() -> dict[str, Any]:
    """Facts that are known without loading a compiler."""
    return {
        "fastmlp": __version__,
        "numerics": NUMERICS_REVISION,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": platform.platform(),
        "machine": platform.machine(),
        "cpu": _processor(),
        "cores": threads.available_cores(),
        "cores_of_machine": os.cpu_count(),
        "threads_auto": threads.resolve("auto"),
        "packages": {name: _version(name) for name in PACKAGES},
        "blas": _blas(),
        "settings": {k: v for k, v in sorted(os.environ.items()) if k.startswith(SETTINGS)},
    }


def describe_compiler() -> dict[str, Any]:
    """Numba's target, and the folder of its compiled code; loads Numba (0.3 s)."""
    import numba
    from llvmlite import binding

    from fastmlp.kernels import jit

    folder = jit.cache_folder()
    features = binding.get_host_cpu_features()
    return {
        "target": numba.config.CPU_NAME or binding.get_host_cpu_name(),
        "simd": [name for name in SIMD if features.get(name)],
        "kernel_cache": None if folder is None else str(folder),
        "kernels_compiled": jit.is_kept(),
    }


def threading_layers() -> list[str]:
    """Numba's threading layers that load here; only the driver prange uses one. Loads them."""
    return [name for name, module in LAYERS.items() if _has_layer(module)]


def _processor() -> str:
    try:
        if platform.system() == "Darwin":
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(
                command, capture_output=True, text=True, timeout=5, check=True
            ).stdout.strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    except (OSError, subprocess.SubprocessError):
        pass
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _blas() -> str:
    """The library behind NumPy's matrix products."""
    import numpy as np

    try:
        blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return f"{blas['name']} {blas['version']}"
    except (KeyError, TypeError):
        return "unknown"


def _has_layer(module: str) -> bool:
    try:
        import_module(f"numba.np.ufunc.{module}")
    except ImportError:
        return False
    return True
