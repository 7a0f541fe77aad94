"""Pictures of histories, weights and diagnoses: what is drawn, where, and that nothing is left behind."""

from __future__ import annotations

import sys
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from figure_faults import faults

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

import fastmlp
from fastmlp import ConfigError, EpochResult, History
from fastmlp.display import plots
from fastmlp.pictures import look


@pytest.fixture(autouse=True)
def no_figure_is_open():
    plt.close("all")
    yield
    plt.close("all")


@pytest.fixture(autouse=True)
def nothing_is_shown(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda *_, **__: pytest.fail("plt.show was called"))


def history(epochs=5, **fields) -> History:
    told = {"seconds": 0.1, "samples_per_second": 1e4, "live_share": 1.0, "dead_units": [0]}
    told |= {"train_accuracy": 0.9, "test_loss": None, "test_accuracy": None}
    return History(
        "numba", 1, [EpochResult(epoch=i, train_loss=1 / i, **told | fields) for i in range(1, epochs + 1)]
    )


def trained(D=6, hidden=(4,), **options):
    X = np.random.default_rng(0).normal(size=(80, D))
    model, _ = fastmlp.fit(X, X[:, 0] > 0, hidden=hidden, epochs=2, **{"scale": "standard"} | options)
    return model


def curves_of(ax) -> dict[str, list[float]]:
    return {
        line.get_label(): line.get_ydata().tolist()
        for axes in ax.figure.axes
        for line in axes.get_lines()
        if not line.get_label().startswith("_")
    }


def said(ax) -> str:
    """The headline, in one line."""
    return " ".join((ax.figure.get_suptitle() or ax.get_title()).split())


def test_a_history_is_drawn_as_it_is():
    told = history(4, test_loss=0.5, test_accuracy=0.8, validation_loss=0.7, validation_accuracy=0.75)
    ax = told.plot()
    assert isinstance(ax, Axes)
    assert curves_of(ax) == {
        "training loss": [1, 1 / 2, 1 / 3, 1 / 4], "held-out loss": [0.7] * 4, "test loss": [0.5] * 4,
        "training accuracy": [0.9] * 4, "held-out accuracy": [0.75] * 4, "test accuracy": [0.8] * 4,
    }  # fmt: skip
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")
    assert said(ax) == "The loss falls from 1 to 0.25; test accuracy ends at 0.8"
    ax.figure.canvas.draw()
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {*curves_of(ax)}


def test_a_regression_has_r2():
    told = history(3, train_accuracy=None, test_loss=0.5, test_r2=0.25, test_mae=1.0)
    ax = told.plot()
    assert set(curves_of(ax)) == {"training loss", "test loss", "test R2"}
    assert ax.figure.axes[1].get_ylabel() == "R2 (dashed)"
    worse = history(2, train_accuracy=None, test_loss=0.5, test_r2=-50.0)
    worse.epochs[1] = replace(worse.epochs[1], test_r2=0.5)
    assert worse.plot().figure.axes[1].get_ylim()[0] == plots._LOWEST_R2
    alone = history(2, train_accuracy=None)
    assert set(curves_of(alone.plot())) == {"training loss"}
    assert said(alone.plot()) == "The loss falls from 1 to 0.5"
    assert said(history(1, train_accuracy=None).plot()) == "The loss of one epoch is 1"


@pytest.mark.parametrize("epochs", [1, 2, 26, 2000])
def test_histories_of_any_length_are_drawn(epochs):
    ax = history(epochs).plot()
    ax.figure.canvas.draw()
    assert all(float(tick).is_integer() for tick in ax.get_xticks())


def test_losses_that_differ_much_have_a_logarithmic_axis():
    assert history(5).plot().get_yscale() == "linear"
    assert history(100).plot().get_yscale() == "log"
    odd = history(3)
    odd.epochs[1] = replace(odd.epochs[1], train_loss=float("nan"), train_accuracy=float("inf"))
    odd.plot().figure.canvas.draw()


def test_the_best_epoch_is_marked():
    told = history(5)
    told.best_epoch = 3
    ax = told.plot()
    assert said(ax).endswith("(dotted: the best, epoch 3)")
    assert [3, 3] in [list(line.get_xdata()) for line in ax.get_lines()]


def test_axes_of_ones_own_are_drawn_into():
    figure, panels = plt.subplots(1, 2)
    assert history().plot(panels[0]) is panels[0]
    assert history().plot(ax=panels[0]) is panels[0]
    assert trained().plot_weights(panels[1]) is panels[1]
    assert plt.get_fignums() == [figure.number]
    for wrong in (figure, "here", panels, 1):
        with pytest.raises(ConfigError, match="ax must be an Axes object"):
            history().plot(wrong)
        with pytest.raises(ConfigError, match="ax must be an Axes object"):
            trained().plot_weights(wrong)


def test_no_figures_are_left_behind():
    own = plt.figure()
    for _ in range(22):  # matplotlib warns of more than 20
        history().plot()
    last = history().plot()
    assert len(plt.get_fignums()) == 2
    assert plt.gcf() is last.figure  # so that plt.savefig saves it
    assert plt.fignum_exists(own.number)
    with pytest.raises(ConfigError, match="must have an epoch"):
        History("numba", 1).plot()
    with pytest.raises(ConfigError):
        trained().plot_weights(units=0)
    assert len(plt.get_fignums()) == 2


def test_weights_of_columns_are_a_map():
    model = trained(D=6, hidden=(4,))
    ax = model.plot_weights()
    (image,) = ax.get_images()
    assert np.array_equal(image.get_array(), model.parameters.weights[0])
    assert [text.get_text() for text in ax.get_yticklabels()] == [f"column {i}" for i in range(6)]
    heaviest = np.linalg.norm(model.parameters.weights[0], axis=1).argmax()
    assert said(ax) == f"column {heaviest} weighs most: 6 inputs into 4 hidden units"
    assert ax.get_xlabel() == "hidden unit"
    low, high = image.get_clim()
    assert low == -high


def test_of_many_the_largest_are_drawn_in_their_order():
    model = trained(D=200, hidden=(100,))
    W = model.parameters.weights[0]
    W[:, 7], W[11] = 3.0, 4.0
    ax = model.plot_weights(units=3)
    (image,) = ax.get_images()
    assert image.get_array().shape == (plots.MOST_INPUTS, 3)
    assert "7" in [text.get_text() for text in ax.get_xticklabels()]
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert "column 11" in names
    assert names == sorted(names, key=lambda name: int(name.split()[1]))
    assert said(ax).startswith("column 11 weighs most: 30 of 200 inputs into 3 of 100 hidden units")


def test_a_single_unit_has_bars():
    X = np.random.default_rng(0).normal(size=(50, 3))
    model, _ = fastmlp.fit(X, X[:, 0], hidden=(), loss="squared", scale="standard", epochs=2)
    ax = model.plot_weights()
    assert np.allclose([bar.get_width() for bar in ax.patches], model.parameters.weights[0][:, 0])
    assert ax.get_xlabel() == "weight"


def test_names_that_mean_something_to_matplotlib_are_drawn_as_they_are():
    W = np.arange(6.0).reshape(3, 2)
    ax = plots.weights(None, W, "classes", names=["$a", "b$^$", "x\n_{"], labels=["$1", "\\frac{"])
    ax.figure.canvas.draw()
    assert [text.get_text() for text in ax.get_yticklabels()] == ["$a", "b$^$", "x\\n_{"]
    plots.weights(None, np.ones((16, 2)), "c", labels=["$1", "$^"], image_shape=(4, 4)).figure.canvas.draw()


def test_weights_of_pixels_are_pictures():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8)).astype(np.uint8)
    model, _ = fastmlp.fit(pixels, np.arange(60) % 3, epochs=1, hidden=5, scale=255)
    ax = model.plot_weights()
    (image,) = ax.get_images()
    drawn = image.get_array()
    W = model.parameters.weights[0]
    assert np.array_equal(np.ma.getdata(drawn)[:8, :8], W[:, 0].reshape(8, 8))
    assert int((~np.ma.getmaskarray(drawn)).sum()) == W.size
    assert said(ax) == "Weights of the pixels into 5 hidden units"
    flat, _ = fastmlp.fit(pixels, np.arange(60) % 3, epochs=1, hidden="none", scale=255)
    assert [text.get_text() for text in flat.plot_weights().texts] == ["0", "1", "2"]
    assert flat.plot_weights(image_shape=(1, 64)).get_xlabel() == "class"
    assert flat.plot_weights(image_shape=(4, 16)).texts
    for wrong in ((8, 9), (8,), 8, "88", (-8, -8), (0, 64)):
        with pytest.raises(ConfigError, match=r"image_shape must be \(rows, columns\) of 64 inputs"):
            flat.plot_weights(image_shape=wrong)


def test_columns_with_scales_of_their_own_are_no_pixels():
    assert trained(D=64).plot_weights().get_ylabel() == ""
    assert len(trained(D=64).plot_weights().get_yticklabels()) == plots.MOST_INPUTS
    assert not trained(D=64, scale=1).plot_weights().axison


@pytest.mark.slow
def test_a_diagnosis_gives_its_four_panels(tmp_path):
    X = np.random.default_rng(0).normal(size=(200, 5))
    found = fastmlp.diagnose(X, X[:, 0] > 0, scale=1, hidden=6, epochs=1, seconds=0.1)
    axes = found.plot()
    assert axes.shape == (2, 2)
    assert all(isinstance(ax, Axes) for ax in axes.flat)
    axes[0, 0].figure.savefig(tmp_path / "why.png")
    assert (tmp_path / "why.png").stat().st_size > 10_000
    assert len(plt.get_fignums()) == 1


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_text_has_the_colour_of_the_style(style):
    X = np.random.default_rng(0).normal(size=(200, 5))
    found = fastmlp.diagnose(X, X[:, 0] > 0, scale=1, hidden=6, epochs=1, seconds=0.1)
    with plt.style.context(style):
        drawn = [history().plot(), trained().plot_weights(), *found.plot().flat]
        ink = plt.rcParams["text.color"]
        colours = [text.get_color() for ax in drawn for text in (ax.xaxis.label, *ax.get_xticklabels())]
        colours += [
            text.get_color() for ax in drawn for text in ax.figure.findobj(mpl.text.Text) if text.get_text()
        ]
    assert {mpl.colors.to_hex(colour) for colour in colours} == {mpl.colors.to_hex(ink)}


@pytest.mark.slow
def test_what_is_drawn_can_be_read():
    """Of histories and weights, in figures of their own."""
    long = history(200, test_loss=0.5, test_accuracy=0.8, validation_loss=0.7, validation_accuracy=0.75)
    long.best_epoch = 150
    for told in (history(1), history(5), long, history(3, train_accuracy=None, test_loss=0.5, test_r2=0.25)):
        assert faults(told.plot().figure) == []
    for model in (trained(), trained(D=200, hidden=(100,)), trained(D=3, hidden=())):
        assert faults(model.plot_weights().figure) == []
    alike = ["a name that is far too long to be shown" * 4 + end for end in "xyz"]
    drawn = plots.weights(None, np.arange(6.0).reshape(3, 2), "hidden units", names=alike)
    assert faults(drawn.figure) == []


def test_without_matplotlib_a_line_says_what_to_install(monkeypatch):
    model, told = trained(), history()
    monkeypatch.setattr(look, "find_spec", lambda name: None)
    for draw in (told.plot, model.plot_weights, lambda: plots.figure(1, 1)):
        with pytest.raises(ConfigError) as caught:
            draw()
        assert 'pip install "fastmlp[plot]"' in str(caught.value)
        assert "\n" not in str(caught.value)


# --- tables of epochs ---------------------------------------------------------------------------


def test_a_history_becomes_a_frame():
    pd = pytest.importorskip("pandas")
    told = history(3, test_loss=0.5, test_accuracy=0.75, dead_units=[1, 2])
    assert told.to_dict()["train_loss"] == [1, 1 / 2, 1 / 3]
    assert "validation_loss" not in told.to_dict()
    frame = told.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert frame.index.name == "epoch"
    assert frame.index.tolist() == [1, 2, 3]
    assert frame["test_accuracy"].tolist() == [0.75] * 3
    assert frame["dead_units"].tolist() == [[1, 2]] * 3
    assert History("numba", 1).to_frame().empty
    assert History("numba", 1).to_dict() == {}


def test_without_pandas_a_line_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match="pip install pandas, or use to_dict"):
        history().to_frame()


def test_what_a_figure_changes_beside_the_style_stays():
    """A notebook's backend makes itself interactive as the first figure is made, within the style."""
    import matplotlib as mpl

    before = mpl.rcParams["interactive"], mpl.rcParams["font.size"]
    try:
        with look.style("x"):
            mpl.rcParams["interactive"] = not before[0]
            assert mpl.rcParams["font.size"] == 9
        assert (mpl.rcParams["interactive"], mpl.rcParams["font.size"]) == (not before[0], before[1])
    finally:
        mpl.rcParams["interactive"] = before[0]
