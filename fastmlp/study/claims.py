"""The thread's statements, judged by rules on measured figures: plain data in, plain data out.

Each rule is a function of the evidence that returns the verdict and the figures it rests on: other
figures give other verdicts. Quotations are short and from the question (see experiments.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from fastmlp.study.evidence import WANTED
from fastmlp.study.experiments import ACTS

SUPPORTED, HALF, NOT = "supported", "half true", "not supported"
VERDICTS = (SUPPORTED, HALF, NOT)

NEAR = 0.01  # difference of two accuracies that another machine may make
CURED = 0.9  # accuracy that counts as training well
GAIN = 0.05  # gain in accuracy that counts as a help
RECIPE = 0.975  # accuracy that rounds to the third answer's 98 %

Evidence = dict[str, Any]
Ruling = tuple[str, str]  # the verdict, and why


@dataclass(frozen=True)
class Judgement:
    """One statement and its verdict. ``figure``: the name of the figure that shows it."""

    code: str
    who: str
    said: str
    verdict: str
    because: str
    figure: str

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump."""
        return asdict(self)


def judge(evidence: Evidence) -> list[Judgement]:
    """Judge every statement: the thread's claims, its reasons, and what this study adds."""
    return [
        Judgement(code, who, said, *rule(evidence), figure) for code, who, said, rule, figure in STATEMENTS
    ]


def _cells(evidence: Evidence, code: str) -> dict[str, dict[str, Any]]:
    """Loss -> the cell of that setting."""
    return {cell["loss"]: cell for cell in evidence["cells"] if cell["code"] == code}


def _range(cell: dict[str, Any]) -> str:
    return f"{cell['mean']:.3f} ({cell['worst']:.3f} to {cell['best']:.3f})"


def _by_loss(cells: dict[str, dict[str, Any]]) -> str:
    return "; ".join(f"{loss} {_range(cell)}" for loss, cell in cells.items())


def _reaches(code: str, value: float) -> Callable[[Evidence], Ruling]:
    """Make a rule: the value lies among that setting's seeds under some loss; half true within 3 NEAR."""

    def rule(evidence: Evidence) -> Ruling:
        cells = _cells(evidence, code)
        away = min(max(cell["worst"] - value, value - cell["best"], 0.0) for cell in cells.values())
        verdict = SUPPORTED if away <= NEAR else HALF if away <= 3 * NEAR else NOT
        return verdict, f"measured: {_by_loss(cells)}"

    return rule


def _under_half(evidence: Evidence) -> Ruling:
    cells = _cells(evidence, "relu-raw")
    shares = {
        loss: sum(accuracy < 0.5 for accuracy in cell["accuracy"]) / cell["seeds"]
        for loss, cell in cells.items()
    }
    largest = max(shares.values())
    verdict = SUPPORTED if largest >= 0.5 else HALF if largest > 0 else NOT
    text = ", ".join(f"{share:.0%} under {loss}" for loss, share in shares.items())
    return verdict, f"share of the seeds that end under 50 %: {text}; {_by_loss(cells)}"


def _recipe(evidence: Evidence) -> Ruling:
    cells = [cell for cell in evidence["cells"] if cell["code"].startswith("relu300")]
    good = [cell for cell in cells if cell["mean"] >= RECIPE]
    verdict = SUPPORTED if len(good) == len(cells) else HALF if good else NOT
    best = max(cells, key=lambda cell: cell["mean"])
    where = sorted({cell["label"] for cell in good})
    reached = f"with {'; '.join(where)}" if where else "with none of the settings"
    return verdict, f"98 % is reached {reached}; best {_range(best)} ({best['label']}, {best['loss']})"


def _large_z(evidence: Evidence) -> Ruling:
    z = evidence["start"]["median_z"]
    verdict = SUPPORTED if z["raw"] > 10 else HALF if z["raw"] > 1 else NOT
    return verdict, f"before training the median of |z| is {z['raw']:.3g} raw and {z['255']:.3g} after / 255"


def _linear(evidence: Evidence) -> Ruling:
    start = evidence["start"]
    same, fixed = start["same_pattern"], start["always_on"]
    verdict = NOT if same >= 0.999 and fixed <= 1 else HALF if same >= 0.9 else SUPPORTED
    return verdict, (
        f"on {start['images']:,} images, {same:.2%} of the units' on/off states are the same for x and x / "
        f"255; {start['active']:.0%} are on, {fixed} units always: a sign does not depend on the scale"
    )


def _unit_range(evidence: Evidence) -> Ruling:
    largest = evidence["start"]["largest_weight"]
    verdict = SUPPORTED if 0.9 <= largest <= 1 else HALF if 0.5 <= largest < 0.9 else NOT
    return verdict, f"the largest first weight of glorot_uniform, Keras' default, is {largest:.3f}"


def _cures_division(evidence: Evidence) -> Ruling:
    raw, scaled = (_cells(evidence, code) for code in ("relu-raw", "relu-255"))
    cured = [loss for loss in raw if scaled[loss]["worst"] >= CURED]
    better = [loss for loss in raw if scaled[loss]["mean"] > raw[loss]["mean"] + GAIN]
    verdict = SUPPORTED if len(cured) == len(better) == len(raw) else HALF if better else NOT
    return verdict, f"raw: {_by_loss(raw)}; / 255: {_by_loss(scaled)}"


def _squashing(evidence: Evidence) -> Ruling:
    """Half true where the bound keeps the curvature stable and the probabilities are made elsewhere."""
    curvature, limit = evidence["curvature"], evidence["curvature"]["largest_stable"]
    at = evidence["start"]["at_raw"]
    bounded = curvature["sigmoid"]["1"] < limit < curvature["relu"]["1"]
    trains = min(cell["mean"] for cell in _cells(evidence, "sigmoid-raw").values()) >= CURED
    verdict = HALF if bounded and trains and at["row_sums"] < 1e-3 else SUPPORTED if trains else NOT
    return verdict, (
        f"the bound helps: largest logit {at['sigmoid_largest_logit']:.3g} against "
        f"{at['largest_logit']:.3g} for ReLU, curvature {curvature['sigmoid']['1']:.3g} against "
        f"{curvature['relu']['1']:.3g}, stable under {limit:g}. But {at['sigmoid_saturated']:.0%} of the "
        "sigmoids are saturated, and the probabilities come from the softmax in both nets"
    )


def _no_probabilities(evidence: Evidence) -> Ruling:
    off = max(evidence["start"][at]["row_sums"] for at in ("at_raw", "at_255"))
    verdict = NOT if off < 1e-3 else SUPPORTED
    return verdict, f"the softmax's outputs of the ReLU net sum to 1 within {off:.1g} on every image"


def _surprise(evidence: Evidence) -> Ruling:
    found = evidence["distribution"].values()
    accuracy = [value for loss in found for value in loss["accuracy"]]
    above = sum(value > 0.15 for value in accuracy) / len(accuracy)
    verdict = NOT if above >= 0.9 else HALF if above >= 0.1 else SUPPORTED
    return verdict, (
        f"{above:.0%} of {len(accuracy)} raw ReLU nets are above 15 %, the worst has {min(accuracy):.1%}"
    )


def _cures_clip(evidence: Evidence) -> Ruling:
    raw = _cells(evidence, "relu-raw")
    clip = next(loss for loss in raw if loss.startswith("clip"))
    plain = raw["logits"]
    wide = {
        code: _cells(evidence, code)[clip]
        for code in ("relu300-raw-lr0.01", "relu300-raw-lr0.1", "relu300-255-lr0.01", "relu300-255-lr0.1")
    }
    on_raw = [raw[clip], wide["relu300-raw-lr0.01"], wide["relu300-raw-lr0.1"]]
    cured = [cell for cell in on_raw if cell["mean"] >= CURED]
    helped = raw[clip]["mean"] > plain["mean"] + GAIN
    verdict = SUPPORTED if len(cured) == len(on_raw) else HALF if cured or helped else NOT
    return verdict, (
        f"raw, 100 units: {_range(raw[clip])} with the clip, {_range(plain)} without; "
        f"300 units with it: {'; '.join(cell['label'][10:] + ' ' + _range(cell) for cell in wide.values())}. "
        f"Of the raw nets' samples a share of {raw[clip]['live']:.4f} still has a gradient in the last epoch"
    )


def _two_mechanisms(evidence: Evidence) -> Ruling:
    logits, keras = evidence["distribution"]["logits"], evidence["distribution"]["keras2"]
    die = logits["dead"] >= 30 and logits["live"] > 0.99
    freeze = keras["live"] <= 0.05 and keras["dead"] <= 5
    verdict = SUPPORTED if die and freeze else HALF if die or freeze else NOT
    return verdict, (
        f"logits: {logits['dead']:.1f} of 100 units dead on average, live share {logits['live']:.3g}; "
        f"keras2: {keras['dead']:.1f} dead, live share {keras['live']:.3g}"
    )


def _edge(evidence: Evidence, act: str, scale: float) -> float | None:
    """The measured edge in the column nearest to that scale; None where its grid ends before."""
    found = evidence["phase"][act]
    column = min(range(len(found["scales"])), key=lambda i: abs(math.log(found["scales"][i] / scale)))
    edge: float | None = found["edge"][column]
    return edge


def _one_cause(evidence: Evidence) -> Ruling:
    """Both by curvature and by the diagram: ReLU raw is beyond, ReLU / 255 and sigmoid raw are not."""
    curvature, limit = evidence["curvature"], evidence["curvature"]["largest_stable"]
    beyond = curvature["relu"]["1"] / limit
    inside = all(curvature[act][scale] < limit for act, scale in (("relu", "255"), ("sigmoid", "1")))
    edges = [_edge(evidence, *column) for column in (("relu", 1), ("relu", 255), ("sigmoid", 1))]
    raw, *others = (math.inf if edge is None else edge for edge in edges)
    seen = raw < curvature["lr"] < min(others)
    verdict = SUPPORTED if beyond > 2 and inside and seen else HALF if beyond > 1 or seen else NOT
    measured = ", ".join("none" if edge is None else f"{edge:.2g}" for edge in edges)
    return verdict, (
        f"measured edge in lr for ReLU raw, ReLU / 255 and sigmoid raw: {measured}; lr here is "
        f"{curvature['lr']:g}. Top curvature before the first step, stable under 2 / lr = {limit:g}: ReLU "
        f"raw {curvature['relu']['1']:,.0f}, ReLU / 255 {curvature['relu']['255']:.3g}, sigmoid raw "
        f"{curvature['sigmoid']['1']:.3g}"
    )


def _law(evidence: Evidence) -> Ruling:
    law = evidence["law"]
    blind = law["raw_without_square"]["losses_sha256"] == law["scaled"]["losses_sha256"]
    verdict = SUPPORTED if law["same"] and not blind else NOT
    return verdict, (
        f"{law['steps']} steps with s = {law['s']}: losses and weights are "
        f"{'the same bytes' if law['same'] else 'not the same bytes'} ({law['raw']['losses_sha256'][:12]}, "
        f"{law['scaled']['losses_sha256'][:12]}); with lr / s in place of lr / s^2 they are "
        f"{'the same too' if blind else 'not'}"
    )


def _line(evidence: Evidence) -> Ruling:
    shares = {act: found["share_within"] for act, found in evidence["phase"].items()}
    verdict = SUPPORTED if min(shares.values()) >= WANTED else HALF if max(shares.values()) >= WANTED else NOT
    told = "; ".join(
        f"{ACTS[act]}: {sum(found['within'])} of {len(found['within'])} columns within a factor of 2"
        + (f", {found['without_edge']} without an edge" if found["without_edge"] else "")
        + (f", measured / predicted {found['median_ratio']:.2f}" if found["median_ratio"] else "")
        for act, found in evidence["phase"].items()
    )
    return verdict, told


ASKED, FIRST, SECOND, THIRD, OURS = "question", "answer 1", "answer 2", "answer 3", "this study"
STATEMENTS: tuple[tuple[str, str, str, Callable[[Evidence], Ruling], str], ...] = (
    ("sigmoid-95", ASKED, "sigmoid on raw pixels: around 95 %", _reaches("sigmoid-raw", 0.95), "claims"),
    ("relu-under-50", ASKED, "ReLU on raw pixels: less than 50 %", _under_half, "claims"),
    ("relu-55", FIRST, "ReLU on raw pixels: 55 %", _reaches("relu-raw", 0.55), "claims"),
    ("relu-255-93", FIRST, "ReLU on pixels / 255: 93.4 %", _reaches("relu-255", 0.934), "claims"),
    ("recipe-98", THIRD, "300 ReLU units with a clipped output: around 98 %", _recipe, "claims"),
    ("division-cures", FIRST, "dividing by 255 cures it", _cures_division, "claims"),
    ("z-large", FIRST, "with raw pixels z is often big", _large_z, "start"),
    ("linear", FIRST, "so ReLU loses its non-linearity", _linear, "start"),
    ("weights-1", FIRST, "weights start in [-1, 1]", _unit_range, "start"),
    ("squashing", SECOND, "sigmoid squashes, which helps to pick the digit", _squashing, "curvature"),
    ("no-probabilities", SECOND, "with ReLU no probabilities are made", _no_probabilities, "start"),
    ("surprise-10", SECOND, "more than 10 % is a surprise", _surprise, "distribution"),
    ("clip-cures", THIRD, "output clipping cures it", _cures_clip, "claims"),
    ("one-cause", OURS, "on raw pixels, lr 0.01 is too large for ReLU alone", _one_cause, "curvature"),
    ("mechanisms", OURS, "logits kill units, keras2 freezes samples", _two_mechanisms, "mechanisms"),
    ("scale-law", OURS, "dividing the pixels is a learning rate for layer 1", _law, "law"),
    ("stability-line", OURS, "lr = 2 / curvature is where training ends", _line, "phase"),
)  # fmt: skip
