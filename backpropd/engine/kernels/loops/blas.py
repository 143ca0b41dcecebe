"""What lies between the products of large layers, each in one pass over whole vectors.

The products themselves are BLAS's. Values of a layer lie as (batch, padded units), theta, its slots
and the gradient as in the plain path, with room for a whole vector at the end.
"""


@entry("void(i8, R[::1], R[::1], R[::1], i8, i8, i8, R[::1], R[::1], R[::1])")
def forward_block(code, z, y, theta, bias, rows, pad, mask, scratch, p):
    """Outputs y of a layer from its products z, to which the biases come (at `bias`; -1: none)."""
    for row in range(rows):
        at = row * pad
        if bias >= 0:
            for b in range(0, pad, LANES):
                store(z, at + b, add(load(z, at + b), load(theta, bias + b)))
        forward(code, z, y, at, pad, mask, 0, scratch, p)


@entry(
    "f8(R[::1], R[::1], R[::1], R[::1], i8, R[::1], R[::1], i8[::1], i8, i8, R[::1], R[::1], "
    "R[::1])"
)
def head_block(z, y, d, theta, bias, T, weights, samples, rows, pad, mask, scratch, p):
    """Outputs y and the mean's deltas d of the last layer; the loss summed over the batch."""
    before = flush_tiny()
    found = 0.0
    for row in range(rows):
        at = row * pad
        if bias >= 0:
            for b in range(0, pad, LANES):
                store(z, at + b, add(load(z, at + b), load(theta, bias + b)))
        sample = samples[row]
        loss = F64(first(head(z, y, at, d, T, sample * pad, pad, mask, 0, scratch, p)))
        if WEIGHTED:
            loss *= F64(weights[sample])
        found += loss
        for b in range(at, at + pad, LANES):
            delta = divide(load(d, b), splat(F64(rows)))
            if WEIGHTED:
                delta = multiply(delta, splat(weights[sample]))
            store(d, b, delta)
    keep_tiny(before)
    return found


@entry("void(i8, R[::1], R[::1], R[::1], R[::1], i8, i8, R[::1], R[::1], R[::1])")
def backward_block(code, d, z, y, kept, rows, pad, mask, scratch, p):
    """dE/dZ from dE/dY of a layer, in place; `kept` is its dropout, empty where none."""
    for row in range(rows):
        at = row * pad
        if kept.size > LANES:
            for b in range(at, at + pad, LANES):
                store(d, b, multiply(load(d, b), load(kept, b)))
        backward(code, d, z, y, at, pad, mask, 0, scratch, p)


@entry("void(R[::1], i8, i8, i8, R[::1], i8, R[::1])")
def sum_of_rows(d, rows, pad, units, gradient, at, scratch):
    """The derivative by each bias: the deltas of all samples, added up."""
    for b in range(0, pad, LANES):
        found = splat(0.0)
        for row in range(rows):
            found = add(found, load(d, row * pad + b))
        store(scratch, b, found)
    for j in range(units):
        gradient[at + j] = scratch[j]


@entry("void(u8[::1], R, i8, i8, i8, R[::1], R[::1], R[::1])")
def drop_block(rng, rate, rows, units, pad, y, o, kept):
    """Dropout of a layer's outputs."""
    drop(rng, rate, rows, units, pad, y, o, kept, 0)


@entry("void(f8[::1], R[::1], f8, f8, f8)")
def find_moments(q, c, rate, step, rose):
    """The numbers of an update."""
    moments(q, c, rate, step, rose, 0)
    for k in range(MOMENTS):
        store(c, k * LANES, splat(c[k * LANES]))


@entry("void(R[::1], R[::1], R[::1], R[::1], i8, i8, R[::1], R[::1])")
def penalize_stretch(theta, gradient, l1, l2, start, stop, p, c):
    """Add the penalties' derivatives to a stretch of whole vectors of the gradient."""
    if CLIPS_NORM:
        for at in range(start, stop, LANES):
            penalize(theta, gradient, 0, at, load(gradient, at), l1, l2, p, c)


@entry("void(R[::1], R[::1], i8, R[::1], R[::1], R[::1], i8, i8, R[::1], R[::1])")
def update_stretch(theta, slots, stride, gradient, l1, l2, start, stop, p, c):
    """Update a stretch of whole vectors."""
    before = flush_tiny()
    for at in range(start, stop, LANES):
        update(theta, slots, stride, at, load(gradient, at), l1, l2, p, c)
    keep_tiny(before)
