"""Parameters: what they hold, how they begin, and the layouts of other tools."""

from __future__ import annotations

import hashlib
import itertools
import math
import struct

import numpy as np
import pytest

from fastmlp import Architecture, ConfigError, ModelError, Net, Parameters, initialise
from fastmlp.words.inits import INITS
from fastmlp.words.layers import Layer

GOLDEN = {  # sha256 of the first weights of 784-100-10 with seed 0, on every machine
    "glorot_uniform": "2fefd09a45bf2e76b82494dd38ca1a60418ce4935d9f9ebd523d431a32adca7c",
    "glorot_normal": "7919913699f6714553116a4375c3cb0097bf21ebd8870e63478823dce292ba54",
    "he_uniform": "4a12bf466c1d6857459944f97cfd645b912fececbc137624caad1bae23955ed6",
    "he_normal": "7fca94fdc666719ff440563514196c273dd50d6a50f05b7d256b8f9a26710ca9",
    "lecun_uniform": "e48fccfdd75c1f56f461c4953071176f4c4ac8a3daedf06a5b0434d1d449a48a",
    "lecun_normal": "4357074b78ae006aee617b85df80ff24068b39f83f8120d08787aeef64197b3b",
    "xavier_normal": "e2794321aace557698a8017189a2ca38a464c36ba8e665954cbcc745cd2066b3",
    "kaiming_normal": "0b973cb73941f1dde0f24bd945421406df1f7397bb4a27bd192bba2de17ff2e0",
    "torch": "44fe825c3448ee86bb05a9eaf0d7ce0a4d9fa681b80c948212c177d8597819fd",
    "orthogonal": "b688a22549c31e69b2059ce10e68e27fcd7a141677268073aa0b90093b814d58",
    "uniform": "eff0f8d6ff2107f8d803c6b5acd218d721d10fcaeb627b9edab50b3027f70c7f",
    "normal": "4775c2fe90b2445c1b5f56939ae9b2782c34d68a7fd67b171b53de61abde2332",
    "truncated_normal": "dac13e745d01929c5eda5345bd473ddaa7ff88e2e74b1cf53c787d7172a8ca2c",
    "zeros": "cb261de69cfe52ede92a74d6ddb8838a43db67da91d92aac79e57641ac344893",
    "ones": "cc9d7e3fceeff263e150f9bff2079a232e35d9034b27c79160fbd51747437ff8",
    "constant": "cb261de69cfe52ede92a74d6ddb8838a43db67da91d92aac79e57641ac344893",
}
LIMITS = {
    "glorot_uniform": lambda fan_in, fan_out: math.sqrt(6 / (fan_in + fan_out)),
    "he_uniform": lambda fan_in, fan_out: math.sqrt(6 / fan_in),
    "lecun_uniform": lambda fan_in, fan_out: math.sqrt(3 / fan_in),
    "torch": lambda fan_in, fan_out: 1 / math.sqrt(fan_in),
    "uniform": lambda fan_in, fan_out: 1.0,
}
NET = Architecture(4, (3, 5), 2)


@pytest.fixture
def numbered():
    """4-3-5-2, every number another."""
    numbers = iter(np.arange(1, 1000, dtype=np.float32))
    arrays = [
        np.array([next(numbers) for _ in range(math.prod(shape))], np.float32).reshape(shape)
        for shape in ((4, 3), (3,), (3, 5), (5,), (5, 2), (2,))
    ]
    return Parameters(tuple(arrays[::2]), tuple(arrays[1::2]))


# --- initialise ---------------------------------------------------------------------------------


@pytest.mark.parametrize("init", GOLDEN)
def test_initialise_gives_the_golden_weights(init):
    assert set(GOLDEN) == set(INITS)
    assert initialise(Architecture(784, (100,), 10), init, 0).sha256() == GOLDEN[init]


@pytest.mark.parametrize("init", LIMITS)
def test_initialise_keeps_and_fills_its_limits(init):
    p = initialise(Architecture(700, (130, 60), 10), init, 3, np.float64)
    for W, b in zip(p.weights, p.biases, strict=True):
        limit = LIMITS[init](*W.shape)
        assert 0.98 * limit < abs(W).max() <= limit
        assert abs(W.mean()) < 5 * limit / math.sqrt(3 * W.size)
        assert abs(W.std() / (limit / math.sqrt(3)) - 1) < 0.1
        if init == "torch":
            assert 0 < abs(b).max() <= limit
        else:
            assert not b.any()


def test_initialise_glorot_is_keras_limit_for_the_question():
    W1 = initialise(Architecture(784, (100,), 10)).weights[0]
    assert 0.0823 < abs(W1).max() < 0.08239  # the question: +-0.082 for 784-100


def test_initialise_is_a_pure_function_of_its_arguments():
    assert initialise(NET, seed=5).sha256() == initialise(NET, seed=5).sha256()
    drawn = [init for init in INITS if init not in ("zeros", "ones", "constant")]
    others = {initialise(NET, init, seed).sha256() for init in drawn for seed in range(4)}
    assert len(others) == 4 * len(drawn)
    W1, W2, W3 = initialise(Architecture(6, (6, 6), 6), "uniform").weights
    assert not np.isclose(W1, W2).any()
    assert not np.isclose(W2, W3).any()


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_initialise_gives_the_shapes_and_type_asked_for(dtype, init):
    p = initialise(NET, init, dtype=dtype)
    assert p.shapes == NET.shapes == ((4, 3), (3, 5), (5, 2))
    assert p.dtype == dtype
    assert all(array.dtype == dtype and array.flags.c_contiguous and array.flags.writeable for array in p)
    assert sum(array.size for array in p) == NET.n_parameters


@pytest.mark.parametrize("init", INITS)
def test_initialise_in_float32_is_float64_rounded(init):
    a, b = (initialise(NET, init, 2, dtype) for dtype in (np.float32, np.float64))
    assert b.astype(np.float32).sha256() == a.sha256() == b.sha256()


# --- what they hold -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "biases"),
    [
        ((), ()),
        (((4, 3),), ()),
        ((), ((3,),)),
        (((4, 3),), ((4,),)),
        (((4, 3), (4, 2)), ((3,), (2,))),
        (((4, 3), (3, 2)), ((3,),)),
        (((4,),), ((4,),)),
        (((4, 3, 1),), ((3, 1),)),
        (((4, 3),), ((3, 1),)),
    ],
)
def test_parameters_refuse_shapes_that_do_not_chain(weights, biases):
    with pytest.raises(ModelError, match="fan_in"):
        Parameters(tuple(map(np.zeros, weights)), tuple(map(np.zeros, biases)))


def test_parameters_are_frozen_but_their_arrays_are_not(numbered):
    with pytest.raises(AttributeError):
        numbered.weights = ()
    numbered.weights[0][0, 0] = 7
    assert next(iter(numbered))[0, 0] == 7


def test_named_and_iteration_are_in_layer_order(numbered):
    names = [name for name, _ in numbered.named()]
    assert names == ["W1", "b1", "W2", "b2", "W3", "b3"]
    assert [array.ravel()[0] for array in numbered] == [1, 13, 16, 31, 36, 46]
    assert [array.ravel()[0] for _, array in numbered.named()] == [1, 13, 16, 31, 36, 46]


def test_copy_shares_nothing(numbered):
    for twin in (numbered.copy(), numbered.astype(np.float32), numbered.astype(np.float64)):
        for array in twin:
            array[...] = 0
    assert [array.ravel()[0] for array in numbered] == [1, 13, 16, 31, 36, 46]


def test_finite_sees_one_bad_number(numbered):
    assert numbered.finite
    for bad in (np.nan, np.inf, -np.inf):
        for layer in range(3):
            for arrays in (numbered.weights, numbered.biases):
                spoiled = numbered.copy()
                arrays = spoiled.weights if arrays is numbered.weights else spoiled.biases
                arrays[layer].reshape(-1)[-1] = bad
                assert not spoiled.finite


def test_sha256_is_over_little_endian_float32_in_order(numbered):
    flat = [value for array in numbered for value in array.ravel().tolist()]
    assert flat == [float(n) for n in range(1, 48)]
    want = hashlib.sha256(struct.pack("<47f", *flat)).hexdigest()
    assert numbered.sha256() == want
    assert Parameters(tuple(np.asfortranarray(W) for W in numbered.weights), numbered.biases).sha256() == want
    assert numbered.astype(">f4").sha256() == want
    swapped = Parameters(numbered.weights[:1], (numbered.biases[0][::-1],))
    assert swapped.sha256() != Parameters(numbered.weights[:1], numbered.biases[:1]).sha256()


# --- layouts of other tools ---------------------------------------------------------------------


def test_torch_layout_goes_both_ways(numbered):
    state = numbered.to_torch()
    assert list(state) == ["0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"]
    assert [a.shape for a in state.values()] == [(3, 4), (3,), (5, 3), (5,), (2, 5), (2,)]
    assert all(a.flags.c_contiguous for a in state.values())
    assert (state["2.weight"] == numbered.weights[1].T).all()
    assert Parameters.from_torch(state).sha256() == numbered.sha256()
    assert Parameters.from_torch(dict(reversed(state.items()))).sha256() == numbered.sha256()


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.clear(),
        lambda s: s.pop("2.bias"),
        lambda s: s.update({"6.weight": s.pop("4.weight")}),
        lambda s: s.update({"extra": s["0.bias"]}),
        lambda s: s.update({"1.weight": s.pop("2.weight"), "1.bias": s.pop("2.bias")}),
        lambda s: s.update({"2.weight": s["2.weight"].T}),
    ],
)
def test_torch_layout_refuses_other_states(numbered, change):
    state = numbered.to_torch()
    change(state)
    with pytest.raises(ModelError):
        Parameters.from_torch(state)


WORDED = Architecture(
    4,
    (
        Layer(3, batch_norm="after", dropout=0.5, bias=False),
        Layer(5, "tanh", batch_norm=True),
        Layer(2, dropout=0.1),
    ),
    2,
    Layer(2, "identity", bias=False),
    input_dropout=0.2,
)


def worded():
    """Parameters of WORDED, every number another."""
    p, numbers = initialise(WORDED), itertools.count(1.0)
    for name, array in p.named():
        if name not in ("b1", "b4"):
            array.flat[:] = list(itertools.islice(numbers, array.size))
    return p


def test_torch_names_count_the_modules_that_a_net_has():
    p = worded()
    state = p.to_torch(WORDED)
    assert list(state) == [
        "1.weight", "3.weight", "3.bias", "3.running_mean", "3.running_var",
        "5.weight", "5.bias", "6.weight", "6.bias", "6.running_mean", "6.running_var",
        "8.weight", "8.bias", "11.weight",
    ]  # fmt: skip
    for counted in ({}, {"3.num_batches_tracked": np.array(7), "6.num_batches_tracked": np.array(7)}):
        again = Parameters.from_torch(state | counted, WORDED)
        assert again.sha256() == p.sha256()
        assert again.array_shapes == p.array_shapes


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.pop("3.running_var"),
        lambda s: s.pop("6.weight"),
        lambda s: s.update({"1.bias": np.zeros(3)}),
        lambda s: s.update({"2.running_var": s.pop("3.running_var")}),
        lambda s: s.update({"3.bias": np.zeros(5)}),
        lambda s: s.update({"3.bias": np.zeros((1, 3))}),
    ],
)
def test_torch_layout_of_batch_norms_refuses_other_states(change):
    state = worded().to_torch(WORDED)
    change(state)
    with pytest.raises(ModelError):
        Parameters.from_torch(state, WORDED)


def test_batch_norms_are_named_by_their_architecture_alone():
    plain = Architecture(4, (3, 5, 2), 2)
    for method in ("to_torch", "to_keras"):
        for architecture in (None, plain):
            with pytest.raises(ModelError, match="batch norms"):
                getattr(worded(), method)(architecture)
        with pytest.raises(ModelError, match="batch norms"):
            getattr(initialise(plain), method)(WORDED)


def test_keras_layout_has_what_a_net_has_in_its_order():
    p = worded()
    arrays = p.to_keras(WORDED)
    norm = p.norms[1]
    assert [
        array is other for array, other in zip(arrays[5:11], (p.weights[1], p.biases[1], *norm), strict=True)
    ]
    assert len(arrays) == 14
    again = Parameters.from_keras(arrays, WORDED)
    assert again.sha256() == p.sha256()
    for wrong in (arrays[:-1], [*arrays, arrays[0]], [*arrays[:5], *arrays[6:], arrays[0]]):
        with pytest.raises(ModelError):
            Parameters.from_keras(wrong, WORDED)


def test_named_arrays_go_both_ways(numbered):
    for p in (numbered, worded()):
        again = Parameters.from_named(dict(reversed(list(p.named()))))
        assert again.sha256() == p.sha256()
        assert again.array_shapes == p.array_shapes
    named = dict(worded().named())
    for name in ("W1", "b2", "mean1", "W4"):
        with pytest.raises(ModelError):
            Parameters.from_named({each: array for each, array in named.items() if each != name})
    with pytest.raises(ModelError):
        Parameters.from_named(named | {"gamma4": named["b4"]})
    with pytest.raises(ModelError):
        Parameters.from_named({})


def test_a_layer_without_bias_has_zeros():
    p = worded()
    Net(WORDED, p)
    p.biases[0][1] = 1
    with pytest.raises(ModelError, match="without bias"):
        Net(WORDED, p)


def test_keras_layout_goes_both_ways(numbered):
    arrays = numbered.to_keras()
    assert [a.shape for a in arrays] == [(4, 3), (3,), (3, 5), (5,), (5, 2), (2,)]
    again = Parameters.from_keras(arrays)
    assert again.sha256() == numbered.sha256()
    again.weights[0][...] = 0
    assert numbered.weights[0].any()
    with pytest.raises(ModelError):
        Parameters.from_keras(arrays[:-1])


def test_wrong_architectures_never_get_here():
    with pytest.raises(ConfigError):
        initialise(Architecture(4, (0,), 2))
