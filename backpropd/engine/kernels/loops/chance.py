"""NumPy's PCG64 in machine code: the same generator, state and draws as in the plain path.

The state is six uint64: the 128 bits of the state, high half first, those of the increment, whether
half a draw is left over, and that half. O'Neill 2014, PCG: XSL RR 128/64.
"""


@inlined
def high_product(a, b):
    """The upper 64 bits of a * b."""
    low = U64(0xFFFFFFFF)
    a0, a1, b0, b1 = a & low, a >> U64(32), b & low, b >> U64(32)
    middle = a1 * b0 + ((a0 * b0) >> U64(32))
    other = a0 * b1 + (middle & low)
    return a1 * b1 + (middle >> U64(32)) + (other >> U64(32))


@inlined
def stepped(high, low, inc_high, inc_low):
    """The state after this one."""
    m_high, m_low = U64(2549297995355413924), U64(4865540595714422341)
    new_low = low * m_low
    new_high = high_product(low, m_low) + high * m_low + low * m_high
    sum_low = new_low + inc_low
    carry = U64(1) if sum_low < new_low else U64(0)
    return new_high + inc_high + carry, sum_low


@inlined
def output(high, low):
    """The 64 bits of a state: XSL RR of it."""
    x, turn = high ^ low, high >> U64(58)
    return (x >> turn) | (x << ((U64(64) - turn) & U64(63)))


@inlined
def next_64(rng):
    """The next 64 bits."""
    rng[0], rng[1] = stepped(rng[0], rng[1], rng[2], rng[3])
    return output(rng[0], rng[1])


@inlined
def next_32(rng):
    """The next 32 bits: half of 64, the other half is kept."""
    if rng[4] != U64(0):
        rng[4] = U64(0)
        return rng[5]
    x = next_64(rng)
    rng[4], rng[5] = U64(1), x >> U64(32)
    return x & U64(0xFFFFFFFF)


@inlined
def permute(rng, order):
    """What Generator.permutation(n) gives, into `order` (n,); Fisher & Yates.

    Draws are as many bits as a place needs, until they fit. One that does not fit swaps a place
    with itself: no branch depends on chance, which no processor could foresee. The state stays
    in registers meanwhile: in memory each step would wait until the one before it is written.
    """
    high, low, inc_high, inc_low = rng[0], rng[1], rng[2], rng[3]
    has, left = rng[4], rng[5]
    for k in range(order.size):
        order[k] = k
    i, mask = order.size - 1, U64(1)
    while mask < U64(i):
        mask = (mask << U64(1)) | U64(1)
    while i > 0:
        if has != U64(0):
            drawn, has = left, U64(0)
        else:
            high, low = stepped(high, low, inc_high, inc_low)
            x = output(high, low)
            drawn, left, has = x & U64(0xFFFFFFFF), x >> U64(32), U64(1)
        j = I64(drawn & mask)
        fits = j <= i
        j = j if fits else i
        order[i], order[j] = order[j], order[i]
        i -= I64(fits)
        mask = mask >> U64(1) if (mask >> U64(1)) >= U64(i) else mask
    rng[0], rng[1], rng[4], rng[5] = high, low, has, left


@inlined
def draw_order(rng, order):
    """An epoch's order; the generator as it was at the epoch's start is kept behind it."""
    for k in range(6):
        rng[6 + k] = rng[k]
    permute(rng, order)


@inlined
def share(rng):
    """What Generator.random() gives, of the kernel's type."""
    if IS_DOUBLE:
        return REAL(F64(next_64(rng) >> U64(11)) * (1.0 / 9007199254740992.0))
    return REAL(next_32(rng) >> U64(8)) * REAL(1.0 / 16777216.0)


@inlined
def drop(rng, rate, rows, units, pad, y, o, kept, at):
    """Inverted dropout of some rows: what Network.forward draws, in its order."""
    for row in range(rows):
        q = at + row * pad
        for j in range(units):
            keep = REAL(1.0) / (REAL(1.0) - rate) if share(rng) >= rate else REAL(0.0)
            kept[q + j] = keep
            o[q + j] = y[q + j] * keep
