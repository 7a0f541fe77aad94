"""The words of a net and of its training: a table each, by name, and the layers that are made of them.

What a word computes stands under the same name in ``reference`` and in ``kernels``. Nothing here is computed
with a net.
"""
