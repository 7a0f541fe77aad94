"""Whose memory: a Net as one member of a team sees it, with addresses in place of arrays.

A core's prefetcher reads ahead of what it is asked for: hence what members write lies pages apart
(net.GAP), or else lines that one has just written are fetched by the other, and must be called back.
"""

from __future__ import annotations

from typing import NamedTuple

from fastmlp.kernels.intrinsics import address, shifted
from fastmlp.kernels.jit import inlined
from fastmlp.kernels.layout import Net, Rows


class Sizes(NamedTuple):
    """Elements of an array for each member or slot."""

    codes: int
    masks: int
    shift: int
    columns: int
    bounds: int
    acts: int
    deltas: int
    parts: int


@inlined
def sizes_of(net):
    """The Sizes of a net with arrays."""
    members, slots = net.members, net.slots
    return Sizes(
        len(net.codes) // members, len(net.masks) // members, len(net.shift) // members,
        len(net.columns) // members, len(net.bounds) // members,
        len(net.acts) // slots, len(net.deltas) // slots, len(net.parts) // slots,
    )  # fmt: skip


@inlined
def addresses_of_net(net):
    """The same net, with addresses for arrays: as member 0 sees it, alone."""
    return Net(
        net.depth, address(net.fan_in), address(net.fan_out), address(net.stride), address(net.vectors),
        address(net.w_at), address(net.a_at), address(net.m_at),
        address(net.theta), address(net.mirror), address(net.acts), address(net.deltas), address(net.zeros),
        address(net.inputs), net.input_stride, address(net.codes), address(net.masks),
        address(net.shift), address(net.columns), address(net.one), net.middle,
        address(net.parts), address(net.bounds), net.members, net.slots,
    )  # fmt: skip


@inlined
def addresses_of_rows(rows):
    """The same rows, with addresses for arrays."""
    return Rows(
        rows.form, address(rows.codes), address(rows.table), address(rows.values), address(rows.starts),
        address(rows.columns), rows.factor, rows.centred, address(rows.mean), rows.largest,
    )  # fmt: skip


@inlined
def of_member(net, member, sizes):
    """The net of addresses, with that member's scratch."""
    return Net(
        net.depth, net.fan_in, net.fan_out, net.stride, net.vectors, net.w_at, net.a_at, net.m_at,
        net.theta, net.mirror, net.acts, net.deltas, net.zeros, net.inputs, net.input_stride,
        shifted(net.codes, member * sizes.codes), shifted(net.masks, member * sizes.masks),
        shifted(net.shift, member * sizes.shift), shifted(net.columns, member * sizes.columns),
        net.one, net.middle, net.parts, shifted(net.bounds, member * sizes.bounds),
        net.members, net.slots,
    )  # fmt: skip


@inlined
def in_slot(net, i, part, sizes):
    """The net of addresses, with slot i of acts, deltas and parts, the latter from ``part`` on.

    A cache line that another core has read is asked back from it before it is written again, for 6 to
    40 ns (Zen 4); not if that core's cache has forgotten it. Hence each batch writes somewhere else.
    """
    return Net(
        net.depth, net.fan_in, net.fan_out, net.stride, net.vectors, net.w_at, net.a_at, net.m_at,
        net.theta, net.mirror, shifted(net.acts, i * sizes.acts), shifted(net.deltas, i * sizes.deltas),
        net.zeros, net.inputs, net.input_stride, net.codes, net.masks, net.shift, net.columns, net.one,
        net.middle, shifted(net.parts, i * sizes.parts + part), net.bounds, net.members, net.slots,
    )  # fmt: skip
