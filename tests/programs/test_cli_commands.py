"""``fastmlp evaluate``, ``predict``, ``data``, ``info``, ``warmup``: what they print, what they refuse."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from cli_runs import FAST, blobs, run, save_blobs, start, strict
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import fastmlp
from fastmlp.data import sources, synthetic


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The report of a run, on a data file in another folder than the run's."""
    home = tmp_path_factory.mktemp("trained")
    data = save_blobs(home)
    result = run(
        "train", *FAST, "--data", data, "--epochs", 3, "--batch-size", 10, "--lr", 0.1,
        "--out", home / "run", "--json",
    )  # fmt: skip
    return strict(result.stdout) | {"file": data}


@pytest.fixture
def images(tmp_path):
    return blobs(40, seed=2)


@pytest.mark.parametrize("name", ["", "model.safetensors"])
def test_evaluate_finds_the_data_of_the_run(trained, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    result = run("evaluate", *FAST, Path(trained["run_dir"], name), "--json")
    report = strict(result.stdout)
    for key in ("test_accuracy", "test_loss", "weights_sha256", "data"):
        assert report[key] == trained[key]
    confusion = np.array(report["confusion"])
    assert confusion.sum() == report["samples"] == 60
    assert np.trace(confusion) / 60 == report["test_accuracy"]
    assert report["classes"] == [3, 5, 8]


def test_evaluate_for_people(trained):
    result = run("evaluate", *FAST, trained["run_dir"])
    assert result.stdout.splitlines() == [
        f"Test loss: {trained['test_loss']:.4f}",
        f"Test accuracy: {trained['test_accuracy']:.4f}",
    ]
    assert str(trained["file"]) in result.stderr
    assert "guess accuracy" in result.stderr


def test_evaluate_takes_the_data_it_is_given(trained, tmp_path, images):
    X, y = images
    np.savez(tmp_path / "other.npz", X=X, y=y)
    arguments = (trained["run_dir"], "--json", *FAST)
    model = fastmlp.Model.load(Path(trained["run_dir"], "model.safetensors"))
    expected = model.evaluate(X, y).loss
    report = strict(run("evaluate", *arguments, "--test-data", tmp_path / "other.npz").stdout)
    assert report["samples"] == 40
    assert report["test_loss"] == pytest.approx(expected, rel=1e-5)
    report = strict(run("evaluate", *arguments, "--data", tmp_path / "other.npz").stdout)
    assert report["samples"] == 40
    assert report["test_loss"] == pytest.approx(expected, rel=1e-5)
    own = strict(run("evaluate", *arguments, "--data", trained["file"]).stdout)
    assert own["samples"] == 60
    assert own["test_loss"] == trained["test_loss"]


def test_evaluate_holds_out_the_same_sixth(tmp_path, images):
    np.savez(tmp_path / "whole.npz", X=images[0], y=images[1])
    report = strict(
        run(
            "train", *FAST, "--data", tmp_path / "whole.npz", "--seed", 7, "--epochs", 2, "--json",
            "--out", tmp_path / "run",
        ).stdout
    )  # fmt: skip
    again = strict(run("evaluate", *FAST, tmp_path / "run", "--json").stdout)
    assert again["test_loss"] == report["test_loss"]
    assert again["data_source"] == report["data_source"]


def copied(trained, tmp_path, seed):
    """The run's folder again, with a model of the same shape in it that is not the run's."""
    folder = tmp_path / "copy"
    shutil.copytree(trained["run_dir"], folder)
    model = fastmlp.Model.load(folder / "model.safetensors")
    other = fastmlp.initialise(model.architecture, seed=seed)
    net = dataclasses.replace(model.net, parameters=other)
    dataclasses.replace(model, net=net).save(folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("command", ["evaluate", "predict", "diagnose"])
def test_a_run_folder_with_the_model_of_another_run_is_refused(trained, tmp_path, images, command):
    folder = copied(trained, tmp_path, seed=5)
    np.save(tmp_path / "images.npy", images[0])
    backend = [] if command == "diagnose" else FAST
    rest = [tmp_path / "images.npy"] if command == "predict" else []
    result = run(command, folder, *rest, *backend)
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.fullmatch(
        r"Error: \S+/model.safetensors must be the run's model, whose weights_sha256 is '\w{64}' in its "
        r"summary.json; got \w{64}. Train again, or name the model's file to take it as it is.\n",
        result.stderr,
    )
    if command != "diagnose":
        assert run(command, folder / "model.safetensors", *rest, *backend).exit_code == 0
        (folder / "summary.json").unlink()  # as a run leaves it that was killed: nothing is said
        result = run(command, folder, *rest, *backend)
        assert result.exit_code == 0
        assert "summary" not in result.stderr


def test_a_damaged_model_is_one_line(trained, tmp_path):
    folder = copied(trained, tmp_path, seed=5)
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    result = run("evaluate", folder, *FAST)
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: {path} must be as it was saved; got bytes of another sha256. "
        "Copy it again, or train it again.\n"
    )


def test_an_older_model_is_one_line_of_warning(trained, tmp_path):
    folder = copied(trained, tmp_path, seed=5)
    path = folder / "model.safetensors"
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    del metadata["sha256"], metadata["epoch"]
    save_file(load_file(path), path, metadata)
    process = start("evaluate", path, *FAST)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.startswith("Test loss")
    assert err.splitlines()[0] == (
        f"Warning: {path} is of an older fastmlp and holds no sha256: a damaged bit in it would not be seen. "
        "Save it again: Model.load(path).save(path)."
    )
    assert "Warning" not in "".join(err.splitlines()[1:])


def test_evaluate_min_accuracy(trained, tmp_path, images):
    X, y = images
    np.savez(tmp_path / "wrong.npz", X=X, y=np.where(y == 3, 5, 3))
    arguments = (trained["run_dir"], *FAST, "--test-data", tmp_path / "wrong.npz", "--min-accuracy")
    assert run("evaluate", *arguments, 0).exit_code == 0
    result = run("evaluate", *arguments, 0.9)
    assert result.exit_code == 5
    assert "Error: the test accuracy must be at least 0.9; got 0." in result.stderr
    assert result.stdout.splitlines()[-1].startswith("Test accuracy: 0.")
    assert run("evaluate", *arguments, -1).exit_code == 2


def test_evaluate_without_a_config_beside_the_model_means_auto(trained, tmp_path, monkeypatch, data_home):
    model = tmp_path / "model.safetensors"
    model.write_bytes(Path(trained["run_dir"], "model.safetensors").read_bytes())
    monkeypatch.setenv(sources.ENVIRONMENT, str(trained["file"]))
    assert strict(run("evaluate", *FAST, model, "--json").stdout)["test_loss"] == trained["test_loss"]


@pytest.mark.parametrize(
    "config", ["", "[]", '{"arguments": []}', '{"arguments": {"data": 3, "test_data": null, "label": null}}']
)
def test_a_config_that_says_nothing_useful_is_passed_over(trained, tmp_path, monkeypatch, data_home, config):
    model = tmp_path / "model.safetensors"
    model.write_bytes(Path(trained["run_dir"], "model.safetensors").read_bytes())
    (tmp_path / "config.json").write_text(config)
    monkeypatch.setenv(sources.ENVIRONMENT, str(trained["file"]))
    assert strict(run("evaluate", *FAST, model, "--json").stdout)["samples"] == 60


def test_data_that_do_not_fit_the_model(trained, tmp_path, images):
    X, y = images
    np.savez(tmp_path / "narrow.npz", X=X[:, :7], y=y)
    np.save(tmp_path / "narrow.npy", X[:, :7])
    np.savez(tmp_path / "strange.npz", X=X, y=y + 1)
    for args in (
        ["evaluate", trained["run_dir"], "--data", tmp_path / "narrow.npz"],
        ["predict", trained["run_dir"], tmp_path / "narrow.npy"],
    ):
        result = run(*args, *FAST)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "Error: inputs must have 64 columns, as this model was trained on; got 56." in result.stderr
    result = run("evaluate", *FAST, trained["run_dir"], "--data", tmp_path / "strange.npz")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "must hold the labels of training alone, 3, 5, 8; got 9 in " in result.stderr


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_models_that_are_none(tmp_path, command):
    (tmp_path / "model.safetensors").write_bytes(b"nothing of the kind")
    images = ["images.npy"] if command == "predict" else []
    for path in (tmp_path / "absent", tmp_path, tmp_path / "model.safetensors"):
        result = run(command, path, *images)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("Error: a model must be ")


def write_idx(path, X, _):
    path.with_suffix(".idx3-ubyte").write_bytes(struct.pack(">BBBB3I", 0, 0, 8, 3, *X.shape) + X.tobytes())
    return path.with_suffix(".idx3-ubyte")


def write_npy(path, X, _):
    np.save(path.with_suffix(".npy"), X)
    return path.with_suffix(".npy")


def write_flat(path, X, _):
    return write_npy(path, X.reshape(len(X), -1), _)


def write_csv(path, X, _):
    np.savetxt(path.with_suffix(".csv"), X.reshape(len(X), -1), fmt="%d", delimiter=",")
    return path.with_suffix(".csv")


def write_labelled_csv(path, X, y):
    header = ",".join(["label", *(f"p{i}" for i in range(64))])
    table = np.column_stack([y, X.reshape(len(X), -1)])
    np.savetxt(path.with_suffix(".csv"), table, fmt="%d", delimiter=",", header=header, comments="")
    return path.with_suffix(".csv")


def write_counted_csv(path, X, _):
    """As pandas writes an array, between semicolons: the numbers of columns and of rows are no image."""
    table = X.reshape(len(X), -1)
    lines = [";".join(["", *map(str, range(table.shape[1]))])]
    lines += [f'"{i}";{";".join(map(str, row))}' for i, row in enumerate(table.tolist())]
    path.with_suffix(".csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    return path.with_suffix(".csv")


WRITERS = [write_idx, write_npy, write_flat, write_csv, write_labelled_csv, write_counted_csv]


@pytest.mark.parametrize("write", WRITERS)
def test_predict_prints_a_label_a_line(trained, tmp_path, images, write):
    path = write(tmp_path / "images", *images)
    result = run("predict", *FAST, trained["run_dir"], path)
    model = fastmlp.Model.load(Path(trained["run_dir"], "model.safetensors"))
    assert result.exit_code == 0
    assert [int(line) for line in result.stdout.splitlines()] == model.predict(images[0]).tolist()
    assert result.stderr == ""


def test_predict_takes_a_single_picture(trained, tmp_path, images):
    path = write_npy(tmp_path / "one", images[0][:1], None)
    assert run("predict", *FAST, trained["run_dir"], path).stdout.count("\n") == 1


def test_predict_probabilities(trained, tmp_path, images):
    path = write_npy(tmp_path / "images", *images)
    header, *rows = run("predict", *FAST, trained["run_dir"], path, "--proba").stdout.splitlines()
    assert header == "label,3,5,8"
    table = np.array([row.split(",") for row in rows], float)
    np.testing.assert_allclose(table[:, 1:].sum(axis=1), 1, atol=1e-5)
    report = strict(run("predict", *FAST, trained["run_dir"], path, "--proba", "--json").stdout)
    assert report["labels"] == table[:, 0].tolist()
    np.testing.assert_allclose(report["probabilities"], table[:, 1:], atol=1e-5)
    assert report["classes"] == [3, 5, 8]
    assert set(strict(run("predict", *FAST, trained["run_dir"], path, "--json").stdout)) == {
        "classes",
        "labels",
    }


def test_predict_refuses_bad_images(trained, tmp_path):
    (tmp_path / "empty.npy").write_bytes(b"")
    for path in (tmp_path / "absent.npy", tmp_path / "empty.npy"):
        result = run("predict", *FAST, trained["run_dir"], path)
        assert (result.exit_code, result.stdout) == (4, "")
        assert result.stderr.startswith(f"Error: {path} must ")
    assert run("predict", *FAST, trained["run_dir"], "x.npy", "--threads", 0).exit_code == 2


def test_data_says_what_is_there(data_home):
    text = run("data").stdout
    assert "synthetic digits if that fails" in text
    assert str(data_home) in text
    assert text.count("missing") == 4
    report = strict(run("data", "--json").stdout)
    assert report["auto"] == "download"
    assert report["complete"] is False


def test_data_names_the_environment(data_home, monkeypatch, tmp_path):
    monkeypatch.setenv(sources.ENVIRONMENT, str(tmp_path))
    assert f"the data in {tmp_path} (FASTMLP_DATA)" in run("data").stdout


def test_data_describes_a_source(tmp_path):
    path = save_blobs(tmp_path)
    text = run("data", path).stdout
    assert "300 + 60 images of 8 x 8, 3 classes" in text
    facts = strict(run("data", path, "--json").stdout)["dataset"]
    assert facts["classes"] == [3, 5, 8]
    assert sum(facts["train_counts"]) == facts["samples"]["train"] == 300
    assert sum(facts["test_counts"]) == facts["samples"]["test"] == 60
    for name, count in zip(facts["classes"], facts["train_counts"], strict=True):
        assert re.search(rf"^ *{name} +{count} ", text, re.M)


def test_data_draws_pictures_as_wide_as_the_terminal(tmp_path, images):
    X, y = images
    X[0] = 0
    X[0, :4] = 255  # the upper half of the first picture is full, the rest is empty
    np.savez(tmp_path / "pictures.npz", x_train=X, y_train=y, x_test=X, y_test=y)
    drawn = run("data", tmp_path / "pictures.npz", "--show", 3, env={"COLUMNS": "20"}).stdout
    rows = drawn[drawn.index("\n\n") + 2 :].split("\n\n")
    assert len(rows[0].splitlines()) == 1 + 4  # the labels, and two pixels to a character
    assert re.fullmatch(rf"{y[0]} +{y[1]}", rows[0].splitlines()[0])  # two are 18 columns wide
    assert rows[1].splitlines()[0] == str(y[2])
    assert [line[:8] == "█" * 8 for line in rows[0].splitlines()[1:]] == [True, True, False, False]
    assert all(len(line) <= 20 for row in rows for line in row.splitlines())


def test_data_without_pictures_cannot_be_drawn(tmp_path):
    np.savez(tmp_path / "table.npz", X=np.random.default_rng(0).random((12, 5)), y=np.arange(12) % 2)
    result = run("data", tmp_path / "table.npz", "--show", 3)
    assert result.exit_code == 4
    assert "must be pictures" in result.stderr


def test_data_draws_synthetic_digits(monkeypatch):
    monkeypatch.setattr(synthetic, "draw", functools.partial(synthetic.draw, train=20, test=20))
    result = run("data", "synthetic", "--show", 1)
    assert "synthetic digits, drawn by program with seed 0" in result.stdout
    assert "█" in result.stdout


def test_data_fetches(monkeypatch, data_home):
    asked = []

    def fetch(progress=None):
        asked.append(progress)
        return data_home

    monkeypatch.setattr(fastmlp.data, "fetch_mnist", fetch)
    result = run("data", "--fetch")
    assert result.exit_code == 0
    assert asked == [None]  # no bar where there is no terminal
    assert str(data_home) in result.stderr


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["--fetch", "synthetic"], 2),
        (["--show", "0"], 2),
        (["--show", "10001"], 2),
        (["absent.npz"], 4),
        (["absent.npz", "--show", "3"], 4),
    ],
)
def test_data_refuses(args, code):
    result = run("data", *args)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith("Error: ")


def test_info_is_ready_to_paste():
    result = run("info")
    assert result.exit_code == 0
    assert result.stderr == ""
    for name in ("fastmlp", "python", "cpu", "cores", "threading layers", "kernel cache", "kernels compiled"):
        assert re.search(rf"^{name} +\S", result.stdout, re.M), name
    facts = strict(run("info", "--json").stdout)
    assert facts["fastmlp"] == fastmlp.__version__
    assert facts["packages"]["numba"]
    assert isinstance(facts["kernels_compiled"], bool)
    assert json.loads(json.dumps(facts)) == facts


def test_warmup_leaves_nothing_to_compile():
    from fastmlp import kernels
    from fastmlp.kernels import jit

    result = run("warmup", "--json")
    assert result.exit_code == 0
    report = strict(result.stdout)
    assert report["kept"] is True
    assert report["seconds"] > 0
    assert Path(report["kernel_cache"]).is_dir()
    assert kernels.is_warm()
    assert jit.is_kept("words")
    again = run("warmup")
    assert again.stderr == ""
    assert re.fullmatch(rf"All kernels are there after [\d.]+ s, in {report['kernel_cache']}\n", again.stdout)


def test_warmup_that_can_keep_nothing(monkeypatch):
    from fastmlp.kernels import jit, warmup

    monkeypatch.setattr(warmup, "warm_up", lambda words: None)
    monkeypatch.setattr(jit, "cache_folder", lambda: None)
    result = run("warmup", "--json")
    assert result.exit_code == 1
    assert strict(result.stdout)["kept"] is False
    assert "compiling" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("Error: compiled kernels must be kept; got no folder.")


@pytest.mark.parametrize("missing", ["run"])
def test_train_says_that_it_compiles_if_its_kernel_is_missing(tmp_path, monkeypatch, missing):
    from fastmlp import kernels

    data, said = save_blobs(tmp_path), {}
    for absent in (None, missing):
        monkeypatch.setattr(kernels, "is_warm", lambda kernel, absent=absent: kernel != absent)
        result = run("train", "--data", data, "--epochs", 1, "--out", tmp_path / f"{absent}")
        assert result.exit_code == 0
        said[absent] = "compiling" in result.stderr
    assert said == {None: False, missing: True}
