"""Prints the digests of drawn trainings of float64: ``python tests/support/small_plain.py 5 21``, by seed."""

from __future__ import annotations

import json
import sys

from compare import digest
from drawn_plain import drawn

from fastmlp import kernels


def trained(seed: int) -> str:
    """The digest of the parameters after the training of that seed."""
    d = drawn(seed)
    net = d.start()
    kernels.Session(net, d.X, d.y, **d.words).train(d.orders, d.lr)
    return digest(*net.parameters, kernels.logits(net, d.X))


if __name__ == "__main__":
    sys.stdout.write(json.dumps({seed: trained(int(seed)) for seed in sys.argv[1:]}))
