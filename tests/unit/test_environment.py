"""What a training ran on, as plain data."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import numpy as np

import fastmlp
from fastmlp import environment
from fastmlp.backends import threads
from fastmlp.kernels import jit


def test_describe():
    facts = environment.describe()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["fastmlp"] == fastmlp.__version__
    assert platform.python_version() in facts["python"]
    assert facts["packages"]["numpy"] == np.__version__
    assert facts["cores"] == threads.available_cores() >= 1
    assert facts["threads_auto"] == threads.resolve("auto")
    assert facts["cpu"]


def test_describe_compiler():
    facts = environment.describe_compiler()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["kernel_cache"] == str(jit.cache_folder())
    assert facts["kernels_compiled"] == jit.is_kept()
    assert "workqueue" in environment.threading_layers()  # Numba always ships it
    assert facts["target"]


def test_settings_are_those_that_matter(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("SECRET_TOKEN", "x")
    settings = environment.describe()["settings"]
    assert settings["OMP_NUM_THREADS"] == "3"
    assert "SECRET_TOKEN" not in settings


def test_a_package_that_is_not_there_is_none():
    assert environment._version("no-such-package-as-this") is None


def test_an_unknown_system_still_has_a_processor(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "Path", lambda _: tmp_path / "absent")
    monkeypatch.setattr(platform, "system", lambda: "Plan 9")
    monkeypatch.setattr(platform, "processor", lambda: "a processor")
    assert environment._processor() == "a processor"


def test_describe_does_not_load_the_compiler():
    code = (
        "import sys; from fastmlp import environment; environment.describe(); print('numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert done.stdout == "False\n"
