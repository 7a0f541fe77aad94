"""report.html: the study as one page that needs no network. Words and markup; nothing is judged here."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from fastmlp.study.claims import HALF, NOT, SUPPORTED, Judgement
from fastmlp.study.evidence import RULE, WANTED
from fastmlp.study.experiments import ACTS

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #ffffff; --dim: #5c5c5c; --line: #d8d8d8;
  --good: #1d7a3d; --half: #9a6200; --bad: #b3261e; --soft: #f4f5f7; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #161616; --dim: #a5a5a5;
  --line: #3c3c3c; --good: #6fcf8e; --half: #e5b454; --bad: #ff8a80; --soft: #202124; } }
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 54rem; padding: 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
a { color: inherit; }
.dim, figcaption { color: var(--dim); font-size: .88rem; }
figure { margin: 1.2rem auto; max-width: 36rem; }
figure svg { display: block; width: 100%; height: auto; color: var(--ink); }
svg image { image-rendering: pixelated; }
.answer { background: var(--soft); border-left: 4px solid var(--line); padding: .6rem 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; width: 100%; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .4rem; text-align: right; white-space: nowrap; }
th { vertical-align: bottom; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
td:first-child { white-space: normal; min-width: 6.5rem; }
.said { border-top: 1px solid var(--line); padding: .7rem 0; }
.said p { margin: .2rem 0; }
.verdict { font-weight: 650; }
.good { color: var(--good); } .half { color: var(--half); } .bad { color: var(--bad); }
"""
_CLASS = {SUPPORTED: "good", HALF: "half", NOT: "bad"}
_WHO = {
    "question": "The question", "answer 1": "The accepted answer", "answer 2": "The second answer",
    "answer 3": "The third answer", "this study": "This study",
}  # fmt: skip
QUESTION = "https://datascience.stackexchange.com/questions/18667/relu-vs-sigmoid-in-mnist-example"
_CAPTIONS = {
    "claims": "Test accuracy of every net after training, a dot a seed. The bar is the mean; a diamond is "
    "what the thread reports.",
    "distribution": "The same net on raw pixels, only the seed differs; dashed is the mean.",
    "mechanisms": "Above: how many units are alive at the end, against accuracy. Below: the share of samples "
    "that still have a gradient, against accuracy.",
    "phase": "Test accuracy over scale and learning rate. The line is where the first step stops being "
    "stable, 2 / curvature; circles are where training was seen to end.",
    "curvature": "Top Gauss-Newton eigenvalue of the loss before the first step. Plain gradient descent is "
    "stable below the dashed line.",
    "law": "The loss of each step: on raw pixels with smaller first weights and a smaller rate for them, and "
    "on scaled pixels.",
    "start": "Nets before the first step, raw and divided by 255.",
    "dead": "What the units that die were given on raw pixels (seed 0), beside the others: their "
    "pre-activations before the first step, and after training. A unit is dead when no image is right of 0.",
    "pixels": "One image of each class, and how often each pixel value occurs.",
    "weights": "First-layer weights after training (seed 0): of dead units and of those alive on raw pixels, "
    "and of a net on scaled pixels.",
}
_SECTIONS = (
    ("What was claimed, and what was measured", ("claims",)),
    ("Raw ReLU over many seeds: one symptom, two mechanisms", ("distribution", "mechanisms")),
    ("Where training ends: scale and learning rate", ("phase", "curvature")),
    ("Dividing the pixels is a learning rate", ("law",)),
    ("Before the first step", ("start",)),
    ("The pixels, the weights, the dead units", ("pixels", "weights", "dead")),
)


def page(report: Mapping[str, Any], judgements: Sequence[Judgement], figures: Mapping[str, str]) -> str:
    """The whole page. ``figures``: name -> SVG. The judgements stand after the first section."""
    evidence = report["evidence"]
    parts = [f"<h1>ReLU or sigmoid on MNIST: why does it not train?</h1>{_head(report)}{_brief(judgements)}"]
    extra = {"claims": _cells(evidence), "phase": _phase(evidence), "mechanisms": _frozen(evidence)}
    for number, (title, names) in enumerate(_SECTIONS):
        shown = [name for name in names if name in figures]
        parts.append(f"<h2>{title}</h2>")
        parts += [_figure(name, figures[name]) + extra.get(name, "") for name in shown]
        if number == 0:
            parts.append("<h2>What the thread says, judged</h2>")
            parts += [_said(judgement) for judgement in judgements]
    parts.append(_foot(report))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>ReLU or sigmoid on "
        f"MNIST</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _text(value: object) -> str:
    return html.escape(str(value))


def _head(report: Mapping[str, Any]) -> str:
    return (
        f'<p class="dim">{report["nets"]:,} nets trained on {_text(report["data"]["name"])} by fastmlp '
        f"{_text(report['environment']['fastmlp'])}. "
        f'The question is <a href="{QUESTION}">18667 on Data Science Stack Exchange</a>.</p>'
    )


def _brief(judgements: Sequence[Judgement]) -> str:
    """Summary of the findings, with a sentence only where its judgement supports it."""
    verdicts = {judgement.code: judgement.verdict for judgement in judgements}
    sentences = [
        text
        for code, wanted, text in (
            (
                "one-cause", SUPPORTED,
                "On raw pixels the first steps of the ReLU net are far too long: the curvature of the "
                "loss is many times what the learning rate allows. A sigmoid is bounded, and keeps it "
                "under the limit.",
            ),
            (
                "mechanisms", SUPPORTED,
                "What breaks depends on the loss: computed from logits, units die; with a clip, nearly all "
                "samples freeze.",
            ),
            ("division-cures", SUPPORTED, "Dividing the pixels by 255 cures it under every loss."),
            (
                "scale-law", SUPPORTED,
                "Dividing the pixels is the same as smaller first weights and a smaller learning rate for "
                "the first layer, to the byte.",
            ),
            ("linear", NOT, "ReLU does not lose its non-linearity on raw pixels."),
            ("clip-cures", NOT, "Clipping the output does not cure it."),
        )
        if verdicts.get(code) == wanted
    ]  # fmt: skip
    return f'<p class="answer">{" ".join(sentences)}</p>' if sentences else ""


def _figure(name: str, svg: str) -> str:
    return f'<figure id="figure-{name}">{svg}<figcaption>{_CAPTIONS[name]}</figcaption></figure>'


def _said(judgement: Judgement) -> str:
    return (
        f'<div class="said"><p><span class="dim">{_WHO[judgement.who]}:</span> {_text(judgement.said)}. '
        f'<span class="verdict {_CLASS[judgement.verdict]}">{judgement.verdict.capitalize()}.</span></p>'
        f'<p class="dim">{_text(judgement.because[:1].upper() + judgement.because[1:])}. <a '
        f'href="#figure-{judgement.figure}">Figure</a></p></div>'
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{_text(value)}</td>" for value in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cells(evidence: Mapping[str, Any]) -> str:
    return _table(
        ("net", "loss", "seeds", "mean", "spread", "worst", "best", "dead", "live share", "diverged"),
        [
            (
                cell["label"], cell["loss"].partition(":")[0], cell["seeds"], f"{cell['mean']:.4f}",
                f"{cell['spread']:.4f}", f"{cell['worst']:.4f}", f"{cell['best']:.4f}", f"{cell['dead']:.1f}",
                f"{cell['live']:.4f}", cell["diverged"],
            )
            for cell in evidence["cells"]
        ],
    )  # fmt: skip


def _phase(evidence: Mapping[str, Any]) -> str:
    told = []
    for act, found in evidence["phase"].items():
        reached = (
            "as wanted" if found["share_within"] >= WANTED else f"which is less than the {WANTED:.0%} wanted"
        )
        told.append(
            f"{ACTS[act]}: {sum(found['within'])} of {len(found['within'])} columns "
            f"({found['share_within']:.0%}), {reached}"
        )
    return (
        f"<p>The line is within a factor of 2 of the measured edge in: {'; '.join(told)}. "
        f"{_beyond(evidence)}</p>"
        f'<p class="dim">The measured edge: {RULE}.</p>'
    )


def _beyond(evidence: Mapping[str, Any]) -> str:
    ratios = {act: found["median_ratio"] for act, found in evidence["phase"].items() if found["median_ratio"]}
    if not ratios:
        return ""
    told = " and ".join(f"{ratio:.3g} times ({ACTS[act]})" for act, ratio in ratios.items())
    return f"The measured edge is {told} the line's rate, median over the columns."


def _frozen(evidence: Mapping[str, Any]) -> str:
    found = evidence["distribution"]["keras2"]["frozen"]
    if found is None:
        return ""
    return (
        "<p>A frozen net has a mark: where every sample is either right or beyond the clip, loss / (1 - "
        f"accuracy) is -ln of the clip, {found['of_a_frozen_net']:.3f}. Measured under keras2, median over "
        f"the seeds: {found['measured']:.3f}.</p>"
    )


def _foot(report: Mapping[str, Any]) -> str:
    plan, machine = report["plan"], report["environment"]
    found = report["evidence"]["distribution"]
    seeds = ", ".join(f"{found[loss]['seeds']} seeds under {loss}" for loss in found)
    return (
        f"<h2>How it was made</h2><p>Repeat: <code>{_text(report['command'])}</code>. Raw ReLU: "
        f"{seeds}; other nets {plan['cell_seeds']} seeds, those of "
        f"300 units {plan['wide_seeds']}; {plan['epochs']} epochs; the phase diagram's nets "
        f"{plan['phase_epochs']}. All figures are in report.json.</p>"
        f'<p class="dim">{_text(machine["cpu"])}, {machine["cores"]} cores; {_text(machine["system"])}. '
        f"Data: {_text(report['data']['source'])}, sha256 {report['data']['sha256'][:16]}.</p>"
    )
