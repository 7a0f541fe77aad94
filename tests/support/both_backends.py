"""The kernels and the reference, side by side."""

from __future__ import annotations

import numpy as np
from compare import DROPPED, check, error
from nets import call

from fastmlp import kernels, reference


def equal_in_every_part(case, prefix=""):
    """All that the backends compute from one batch agrees."""
    name, (X, y), options = str(case), (case.X, case.y), case.options
    p = case.parameters
    ours, theirs = call(kernels.forward, p, X, **options), call(reference.forward, p, X, **options)
    assert len(ours) == len(theirs)
    for layer, (got, want) in enumerate(zip(ours, theirs, strict=True)):
        assert got.dtype == np.float32
        check(prefix + "outputs", got, want, f"layer {layer + 1} {name}")
    got = call(kernels.loss_and_gradients, p, X, y, loss=case.loss, **options)
    want = call(reference.loss_and_gradients, p, X, y, loss=case.loss, **options)
    assert (got.correct, got.live) == (want.correct, want.live), name
    check(prefix + "loss", got.loss, want.loss, name)
    exact = call(
        reference.loss_and_gradients, p.astype(np.float64), X, y, loss=case.loss, **options
    ).gradients
    for (label, g), (_, w), e in zip(got.gradients.named(), want.gradients.named(), exact, strict=True):
        assert g.dtype == np.float32
        # where samples cancel, the reference itself is off by more than rounding: no tolerance fits both
        what = "gradient" if prefix or error(w, e) < 3e-6 else "cancelling gradient"
        DROPPED[f"tensors of {what}"] += 1
        check(what if prefix == "" else prefix + what, g, w, f"{label} {name}")
    ours, theirs = (call(nn.evaluate, p, X, y, loss=case.loss, **options) for nn in (kernels, reference))
    check(prefix + "loss", ours.loss, theirs.loss, name)
    assert ours.accuracy == theirs.accuracy, name
    assert call(kernels.dead_units, p, X, **options) == call(reference.dead_units, p, X, **options), name
    return got
