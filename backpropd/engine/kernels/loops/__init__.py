"""The kernels themselves: loops in words that a generated module defines, and never imported here.

`load`, `fma` and their kin are those of vectors.py, `forward`, `head`, `update` and theirs those
that traced.py makes of a training's parts, LANES is how many lanes a vector has. The columns of
`layers` and `sources` are those of packing.py.
"""
