"""Many networks of one shape at once: one in each lane of every vector.

What belongs together lies side by side: weight w of all networks, then weight w + 1 of all. Sums go
from vector to vector and nothing ever goes from one lane to another, so that what comes out of a
network depends on nothing but itself. The values of a sample lie as (units, LANES), its inputs
first, and those of a batch one sample after the other, `width` apart.
"""


@inlined
def gather(layers, orders, X, T, weights, place, rows, o, t, counts, width):
    """The next samples of every network's own order: inputs into o, targets into t."""
    last = count_layers(layers) - 1
    inputs, outputs = of_layer(layers, 0, UNITS), of_layer(layers, last, UNITS)
    for row in range(rows):
        for lane in range(LANES):
            sample = I64(orders[lane, place + row])
            at = row * width + lane
            for i in range(inputs):
                o[at + i * LANES] = X[sample * inputs + i]
            at = row * outputs * LANES + lane
            for j in range(outputs):
                t[at + j * LANES] = T[sample * outputs + j]
            if WEIGHTED:
                counts[row * LANES + lane] = weights[sample]


@inlined
def beginning(theta, z, bias, at, is_first):
    """What a net input begins with: its bias, nothing, or what other sources gave already."""
    found = splat(0.0)
    if not is_first:
        found = load(z, at)
    elif bias >= 0:
        found = load(theta, bias)
    return found


@inlined
def net_inputs(layers, sources, layer, theta, o, z, base, rows, width):
    """z = b + sum_i w_i o_i: four samples at a time, or of a single one four units at a time."""
    units, stride = of_layer(layers, layer, UNITS), of_layer(layers, layer, STRIDE)
    begin = of_layer(layers, layer, FIRST)
    has_bias, apart = of_layer(layers, layer, BIAS) >= 0, of_layer(layers, layer, BIAS_STRIDE)
    for s in range(begin, of_layer(layers, layer, LAST)):
        x = base + of_layer(layers, of_source(sources, s, FROM), AT)
        length = of_source(sources, s, WIDTH) * LANES
        j = 0
        if rows == 1:
            while j + 4 <= units:
                at = base + of_layer(layers, layer, AT) + j * LANES
                w = of_source(sources, s, MATRIX) + j * stride
                bias = of_layer(layers, layer, BIAS) + j * apart if has_bias else -1
                a0 = beginning(theta, z, bias, at, s == begin)
                a1 = beginning(theta, z, bias + apart, at + LANES, s == begin)
                a2 = beginning(theta, z, bias + 2 * apart, at + 2 * LANES, s == begin)
                a3 = beginning(theta, z, bias + 3 * apart, at + 3 * LANES, s == begin)
                for i in range(0, length, LANES):
                    value = load(o, x + i)
                    a0 = fma(load(theta, w + i), value, a0)
                    a1 = fma(load(theta, w + stride + i), value, a1)
                    a2 = fma(load(theta, w + 2 * stride + i), value, a2)
                    a3 = fma(load(theta, w + 3 * stride + i), value, a3)
                store(z, at, a0)
                store(z, at + LANES, a1)
                store(z, at + 2 * LANES, a2)
                store(z, at + 3 * LANES, a3)
                j += 4
        while j < units:
            at = base + of_layer(layers, layer, AT) + j * LANES
            w = of_source(sources, s, MATRIX) + j * stride
            bias = of_layer(layers, layer, BIAS) + j * apart if has_bias else -1
            row = 0
            while row + 4 <= rows:
                z0, x0 = at + row * width, x + row * width
                a0 = beginning(theta, z, bias, z0, s == begin)
                a1 = beginning(theta, z, bias, z0 + width, s == begin)
                a2 = beginning(theta, z, bias, z0 + 2 * width, s == begin)
                a3 = beginning(theta, z, bias, z0 + 3 * width, s == begin)
                for i in range(0, length, LANES):
                    weight = load(theta, w + i)
                    a0 = fma(weight, load(o, x0 + i), a0)
                    a1 = fma(weight, load(o, x0 + width + i), a1)
                    a2 = fma(weight, load(o, x0 + 2 * width + i), a2)
                    a3 = fma(weight, load(o, x0 + 3 * width + i), a3)
                store(z, z0, a0)
                store(z, z0 + width, a1)
                store(z, z0 + 2 * width, a2)
                store(z, z0 + 3 * width, a3)
                row += 4
            while row < rows:
                a0 = beginning(theta, z, bias, at + row * width, s == begin)
                for i in range(0, length, LANES):
                    a0 = fma(load(theta, w + i), load(o, x + row * width + i), a0)
                store(z, at + row * width, a0)
                row += 1
            j += 1


@inlined
def forward_rows(layers, sources, theta, z, y, o, base, rows, width, scratch, p):
    """Net inputs z and outputs y of all layers but the last one's outputs, from inputs in o."""
    last = count_layers(layers) - 1
    for layer in range(1, last + 1):
        net_inputs(layers, sources, layer, theta, o, z, base, rows, width)
        if layer < last:
            activate(layers, layer, z, y, base, rows, width, scratch, p)


@inlined
def activate(layers, layer, z, y, base, rows, width, scratch, p):
    """Outputs y of a layer, from its net inputs z."""
    size = of_layer(layers, layer, UNITS) * LANES
    for row in range(rows):
        at = base + row * width + of_layer(layers, layer, AT)
        forward(of_layer(layers, layer, ACTIVATION), z, y, at, size, y, 0, scratch, p)


@inlined
def forward_dropped(
    layers, sources, theta, z, y, o, kept, drop_rates, rngs, lanes, base, rows, width, scratch, p
):
    """As forward_rows; the layers above get outputs o, of which each network drops its own."""
    last = count_layers(layers) - 1
    for layer in range(1, last + 1):
        net_inputs(layers, sources, layer, theta, o, z, base, rows, width)
        if layer < last:
            activate(layers, layer, z, y, base, rows, width, scratch, p)
        units, at = of_layer(layers, layer, UNITS), base + of_layer(layers, layer, AT)
        for lane in range(lanes):
            rate = drop_rates[layer * LANES + lane]
            if rate > 0:  # the output layer's are drawn for nobody, as in Network.forward
                keep = REAL(1.0) / (REAL(1.0) - rate)
                for row in range(rows):
                    for j in range(units):
                        stays = share(rngs[lane]) >= rate
                        kept[at + row * width + j * LANES + lane] = keep if stays else REAL(0.0)
        if layer < last:
            for row in range(rows):
                for i in range(at + row * width, at + row * width + units * LANES, LANES):
                    store(o, i, multiply(load(y, i), load(kept, i)))


@inlined
def head_row(layers, z, y, d, t, counts, base, row, width, scratch, p, reals):
    """The losses of a sample of each network, and the output layer's deltas."""
    last = count_layers(layers) - 1
    size = of_layer(layers, last, UNITS) * LANES
    at = base + row * width + of_layer(layers, last, AT)
    error = head(z, y, at, d, t, row * size, size, y, 0, scratch, p)
    if WEIGHTED:
        count = load(counts, row * LANES)
        error = multiply(error, count)
        for b in range(at, at + size, LANES):
            store(d, b, multiply(load(d, b), count))
    if IS_DOUBLE:
        store(reals, BATCH_LOSS * LANES, add(load(reals, BATCH_LOSS * LANES), error))
    else:
        store(scratch, 0, error)
        for lane in range(LANES):
            reals[BATCH_LOSS * LANES + lane] += F64(scratch[lane])


@inlined
def begin_update(q, c, rates, epoch, update, reals, steps, control):
    """Note each network's loss and find the update's numbers: the learning rate, ..."""
    if ANEW or control[RATES_PER] == 2:
        for lane in range(LANES):
            rose = (
                1.0 if reals[BATCH_LOSS * LANES + lane] > reals[LAST_LOSS * LANES + lane] else 0.0
            )
            rate = rate_of(rates, epoch, update, lane, control)
            moments(q, c, rate, F64(steps[lane] + update + 1), rose, lane)
    if IS_DOUBLE:
        loss = load(reals, BATCH_LOSS * LANES)
        store(reals, LAST_LOSS * LANES, loss)
        store(reals, TOTAL * LANES, add(load(reals, TOTAL * LANES), loss))
        store(reals, BATCH_LOSS * LANES, splat(0.0))
    else:
        for lane in range(LANES):
            found = reals[BATCH_LOSS * LANES + lane]
            reals[LAST_LOSS * LANES + lane] = found
            reals[TOTAL * LANES + lane] += found
            reals[BATCH_LOSS * LANES + lane] = 0.0


@inlined
def rate_of(rates, epoch, update, lane, control):
    """A network's learning rate in this epoch or update."""
    if control[RATES_PER] == 2:
        return rates[update * LANES + lane]
    if control[RATES_PER] == 1:
        return rates[epoch * LANES + lane]
    return rates[lane]


@inlined
def deltas_of_rows(layers, layer, d, z, y, kept, base, rows, width, scratch, p):
    """From what a layer was handed down to its deltas."""
    size = of_layer(layers, layer, UNITS) * LANES
    for row in range(rows):
        at = base + row * width + of_layer(layers, layer, AT)
        if HAS_DROPOUT:
            for b in range(at, at + size, LANES):
                store(d, b, multiply(load(d, b), load(kept, b)))
        backward(of_layer(layers, layer, ACTIVATION), d, z, y, at, size, y, 0, scratch, p)


@inlined
def descend_row(layers, sources, theta, slots, l1, l2, d, z, y, o, kept, base, scratch, p, c):
    """Online: each layer hands its deltas down, and each weight moves where its derivative is."""
    last = count_layers(layers) - 1
    stride = theta.size
    for layer in range(last, 0, -1):
        if layer < last:
            deltas_of_rows(layers, layer, d, z, y, kept, base, 1, 0, scratch, p)
        at, units = base + of_layer(layers, layer, AT), of_layer(layers, layer, UNITS)
        row = of_layer(layers, layer, STRIDE)
        moves = of_layer(layers, layer, MOVES_WEIGHT) != 0
        for s in range(of_layer(layers, layer, LAST) - 1, of_layer(layers, layer, FIRST) - 1, -1):
            x = base + of_layer(layers, of_source(sources, s, FROM), AT)
            hands_down = of_source(sources, s, HANDS_DOWN) != 0
            if not (hands_down or moves):
                continue
            for i in range(0, of_source(sources, s, WIDTH) * LANES, LANES):
                w = of_source(sources, s, MATRIX) + i
                value = load(o, x + i)
                if hands_down:
                    below = splat(0.0)
                    if of_source(sources, s, IS_FIRST) == 0:
                        below = load(d, x + i)
                    for j in range(at, at + units * LANES, LANES):
                        delta = load(d, j)
                        below = fma(load(theta, w), delta, below)
                        if moves:
                            g = multiply(value, delta)
                            update(theta, slots, stride, w, g, l1, l2, p, c)
                        w += row
                    store(d, x + i, below)
                else:
                    for j in range(at, at + units * LANES, LANES):
                        g = multiply(value, load(d, j))
                        update(theta, slots, stride, w, g, l1, l2, p, c)
                        w += row
        if of_layer(layers, layer, MOVES_BIAS) != 0:
            w = of_layer(layers, layer, BIAS)
            for j in range(0, units * LANES, LANES):
                update(theta, slots, stride, w + j, load(d, at + j), l1, l2, p, c)


@inlined
def move(theta, slots, gradient, at, g, l1, l2, p, c):
    """Move a weight of every network; where gradients are clipped as a whole it waits for that."""
    if CLIPS_NORM:
        store(gradient, at, g)
    else:
        update(theta, slots, theta.size, at, g, l1, l2, p, c)


@inlined
def hand_down(layers, sources, layer, s, theta, d, rows, width):
    """What a layer's deltas say of the outputs of one source, before any weight moves."""
    at, units = of_layer(layers, layer, AT), of_layer(layers, layer, UNITS) * LANES
    x = of_layer(layers, of_source(sources, s, FROM), AT)
    stride, is_first = of_layer(layers, layer, STRIDE), of_source(sources, s, IS_FIRST) != 0
    for i in range(0, of_source(sources, s, WIDTH) * LANES, LANES):
        row = 0
        while row + 4 <= rows:
            w = of_source(sources, s, MATRIX) + i
            below, above = x + i + row * width, at + row * width
            a0 = beginning(d, d, -1, below, is_first)
            a1 = beginning(d, d, -1, below + width, is_first)
            a2 = beginning(d, d, -1, below + 2 * width, is_first)
            a3 = beginning(d, d, -1, below + 3 * width, is_first)
            for j in range(0, units, LANES):
                weight = load(theta, w)
                a0 = fma(weight, load(d, above + j), a0)
                a1 = fma(weight, load(d, above + width + j), a1)
                a2 = fma(weight, load(d, above + 2 * width + j), a2)
                a3 = fma(weight, load(d, above + 3 * width + j), a3)
                w += stride
            store(d, below, a0)
            store(d, below + width, a1)
            store(d, below + 2 * width, a2)
            store(d, below + 3 * width, a3)
            row += 4
        while row < rows:
            w = of_source(sources, s, MATRIX) + i
            a0 = beginning(d, d, -1, x + i + row * width, is_first)
            for j in range(0, units, LANES):
                a0 = fma(load(theta, w), load(d, at + row * width + j), a0)
                w += stride
            store(d, x + i + row * width, a0)
            row += 1


@inlined
def descend_rows(
    layers, sources, theta, slots, gradient, l1, l2, d, z, y, o, kept, rows, width, scratch, p, c
):
    """The generalized delta rule for a batch: four derivatives at a time, summed over samples."""
    last = count_layers(layers) - 1
    for layer in range(last, 0, -1):
        if layer < last:
            deltas_of_rows(layers, layer, d, z, y, kept, 0, rows, width, scratch, p)
        at, units = of_layer(layers, layer, AT), of_layer(layers, layer, UNITS)
        for s in range(of_layer(layers, layer, LAST) - 1, of_layer(layers, layer, FIRST) - 1, -1):
            if of_source(sources, s, HANDS_DOWN) != 0:
                hand_down(layers, sources, layer, s, theta, d, rows, width)
            if of_layer(layers, layer, MOVES_WEIGHT) == 0:
                continue
            x = of_layer(layers, of_source(sources, s, FROM), AT)
            length = of_source(sources, s, WIDTH) * LANES
            for j in range(units):
                w = of_source(sources, s, MATRIX) + j * of_layer(layers, layer, STRIDE)
                a, i = at + j * LANES, 0
                while i + 4 * LANES <= length:
                    g0, g1, g2, g3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
                    for row in range(0, rows * width, width):
                        delta = load(d, a + row)
                        g0 = fma(delta, load(o, x + row + i), g0)
                        g1 = fma(delta, load(o, x + row + i + LANES), g1)
                        g2 = fma(delta, load(o, x + row + i + 2 * LANES), g2)
                        g3 = fma(delta, load(o, x + row + i + 3 * LANES), g3)
                    move(theta, slots, gradient, w + i, g0, l1, l2, p, c)
                    move(theta, slots, gradient, w + i + LANES, g1, l1, l2, p, c)
                    move(theta, slots, gradient, w + i + 2 * LANES, g2, l1, l2, p, c)
                    move(theta, slots, gradient, w + i + 3 * LANES, g3, l1, l2, p, c)
                    i += 4 * LANES
                while i < length:
                    g0 = splat(0.0)
                    for row in range(0, rows * width, width):
                        g0 = fma(load(d, a + row), load(o, x + row + i), g0)
                    move(theta, slots, gradient, w + i, g0, l1, l2, p, c)
                    i += LANES
        if of_layer(layers, layer, MOVES_BIAS) != 0:
            for j in range(0, units * LANES, LANES):
                g0 = splat(0.0)
                for row in range(0, rows * width, width):
                    g0 = add(g0, load(d, at + row + j))
                w = of_layer(layers, layer, BIAS) + j
                move(theta, slots, gradient, w, g0, l1, l2, p, c)


@inlined
def shorten(windows, theta, gradient, l1, l2, p, c, most):
    """Clip by the norm of each array, or of all together: regularizers.ClipNorm, ClipGlobalNorm."""
    whole = splat(0.0)
    for w in range(windows.shape[0]):
        squares = splat(0.0)
        for at in range(windows[w, 0], windows[w, 1], LANES):
            penalize(theta, gradient, 0, at, load(gradient, at), l1, l2, p, c)
            g = load(gradient, at)
            squares = fma(g, g, squares)
        whole = add(whole, squares)
        if not CLIPS_GLOBALLY:
            scale(gradient, windows[w, 0], windows[w, 1], sqrt(squares), load(most, 0))
    if CLIPS_GLOBALLY:
        for w in range(windows.shape[0]):
            scale(gradient, windows[w, 0], windows[w, 1], sqrt(whole), load(most, 0))


@inlined
def scale(gradient, start, stop, length, most):
    """Shorten a stretch of this length in those networks where it is longer."""
    by = where(less(most, length), divide(most, length), splat(1.0))
    for at in range(start, stop, LANES):
        store(gradient, at, multiply(load(gradient, at), by))


@inlined
def mean_losses(layers, sources, theta, X, T, z, y, o, t, width, scratch, p, outputs, found):
    """The mean loss of samples X (N rows) in every network; their outputs where they are kept."""
    last = count_layers(layers) - 1
    inputs, units = of_layer(layers, 0, UNITS), of_layer(layers, last, UNITS)
    at, size, samples = of_layer(layers, last, AT), units * LANES, X.size // inputs
    for lane in range(LANES):
        found[lane] = 0.0
    for place in range(0, samples, ROWS):
        rows = min(ROWS, samples - place)
        for row in range(rows):
            for i in range(inputs):
                store(y, row * width + i * LANES, spread(X, (place + row) * inputs + i))
        forward_rows(layers, sources, theta, z, y, y, 0, rows, width, scratch, p)
        for row in range(rows):
            for j in range(units):
                store(t, j * LANES, spread(T, (place + row) * units + j))
            base = row * width + at
            error = measure(z, y, base, z, t, 0, size, y, 0, scratch, p)
            store(scratch, 0, error)
            for lane in range(LANES):
                found[lane] += F64(scratch[lane])
            if KEEPS_OUTPUTS:
                for b in range(0, size, LANES):
                    store(outputs, (place + row) * size + b, load(y, base + b))
    for lane in range(LANES):
        found[lane] /= samples


@inlined
def keep_best(theta, best, judged, epoch, reals, steps, scratch):
    """Keep the weights of those networks whose column is the lowest so far."""
    found = False
    for lane in range(LANES):
        value, before = judged[lane], reals[BEST_VALUE * LANES + lane]
        better = value < before or (math.isnan(before) and not math.isnan(value))
        scratch[lane] = REAL(0.0)
        if better:
            reals[BEST_VALUE * LANES + lane] = value
            steps[BEST_EPOCH * LANES + lane] = epoch
            scratch[lane], found = REAL(1.0), True
    if found:
        better = less(splat(0.0), load(scratch, 0))
        for at in range(0, theta.size, LANES):
            store(best, at, where(better, load(theta, at), load(best, at)))


@entry(
    "void(i8[::1], i8[::1], i8[:, ::1], R[::1], R[::1], R[::1], R[::1], R[::1], R[::1], f8[::1], "
    "R[::1], f8[::1], R[::1], R[::1], R[::1], R[::1], R[::1], R[::1], R[::1], R[::1], R[::1], "
    "R[::1], R[::1], R[::1], R[::1], R[::1], R[::1], i4[:, ::1], u8[:, ::1], u8[:, ::1], R[::1], "
    "R[::1], f8[:, ::1], f8[:, ::1], R[::1], R[::1], i8[::1], f8[::1], i8[::1], i8, i8, i8, i8)"
)
def kernel(
    layers,
    sources,
    windows,
    theta,
    slots,
    l1,
    l2,
    drop_rates,
    p,
    q,
    c,
    rates,
    X,
    T,
    weights,
    VX,
    VT,
    z,
    y,
    o,
    d,
    t,
    counts,
    kept,
    scratch,
    gradient,
    most,
    orders,
    order_rngs,
    noise_rngs,
    start,
    best,
    losses,
    val_losses,
    outputs,
    val_outputs,
    steps,
    reals,
    control,
    lanes,
    batch_size,
    epochs,
    updates,
):
    """Train for so many epochs, or so many updates; the last arrays say how each network stands."""
    last = count_layers(layers) - 1
    samples, width = orders.shape[1], control[WIDTH_OF_ALL]
    size, top = of_layer(layers, last, UNITS) * LANES, of_layer(layers, last, AT)
    batches = (samples + batch_size - 1) // batch_size
    ahead = ROWS if ONLINE else 1  # a sample's inputs are fetched before the one before needs them
    epoch, done = 0, 0
    before = flush_tiny()
    while epoch < epochs and done < updates:
        if control[BATCH] == 0:
            for lane in range(LANES):
                if SHUFFLED and lane < lanes:
                    draw_order(order_rngs[lane], orders[lane])
                reals[TOTAL * LANES + lane] = 0.0
            if done + batches > updates:
                copy(theta, start)
        if not ANEW and control[RATES_PER] != 2:
            for lane in range(LANES):
                rate = rate_of(rates, epoch, 0, lane, control)
                moments(q, c, rate, 1.0, 0.0, lane)
        begin = control[BATCH]
        end = min(batches, begin + updates - done)
        for batch in range(begin, end, ahead):
            place = batch * batch_size
            count = min(ahead, end - batch)
            rows = count if ONLINE else min(batch_size, samples - place)
            gather(layers, orders, X, T, weights, place, rows, o, t, counts, width)
            for step in range(count):
                base = step * width
                many = 1 if ONLINE else rows
                if HAS_DROPOUT:
                    forward_dropped(
                        layers,
                        sources,
                        theta,
                        z,
                        y,
                        o,
                        kept,
                        drop_rates,
                        noise_rngs,
                        lanes,
                        base,
                        many,
                        width,
                        scratch,
                        p,
                    )
                else:
                    forward_rows(layers, sources, theta, z, y, o, base, many, width, scratch, p)
                for row in range(step, step + many):
                    head_row(layers, z, y, d, t, counts, 0, row, width, scratch, p, reals)
                    if not ONLINE:
                        for b in range(row * width + top, row * width + top + size, LANES):
                            store(d, b, divide(load(d, b), splat(F64(rows))))
                    if KEEPS_OUTPUTS:
                        for b in range(0, size, LANES):
                            kept_at = (place + row) * size + b
                            store(outputs, kept_at, load(y, row * width + top + b))
                update_number = done + batch - begin + step
                begin_update(q, c, rates, epoch, update_number, reals, steps, control)
                if ONLINE:
                    descend_row(
                        layers,
                        sources,
                        theta,
                        slots,
                        l1,
                        l2,
                        d,
                        z,
                        y,
                        o,
                        kept,
                        base,
                        scratch,
                        p,
                        c,
                    )
                else:
                    descend_rows(
                        layers,
                        sources,
                        theta,
                        slots,
                        gradient,
                        l1,
                        l2,
                        d,
                        z,
                        y,
                        o,
                        kept,
                        rows,
                        width,
                        scratch,
                        p,
                        c,
                    )
                    if CLIPS_NORM:
                        shorten(windows, theta, gradient, l1, l2, p, c, most)
                        for w in range(windows.shape[0]):
                            for at in range(windows[w, 0], windows[w, 1], LANES):
                                g = load(gradient, at)
                                update(theta, slots, theta.size, at, g, l1, l2, p, c)
        done += end - begin
        control[BATCH] = end
        if end == batches:
            for lane in range(LANES):
                losses[epoch, lane] = reals[TOTAL * LANES + lane] / samples
            if VALIDATES:
                mean_losses(
                    layers,
                    sources,
                    theta,
                    VX,
                    VT,
                    z,
                    y,
                    o,
                    t,
                    width,
                    scratch,
                    p,
                    val_outputs,
                    val_losses[epoch],
                )
            if control[KEEPS_BEST] == 1:
                keep_best(theta, best, losses[epoch], epoch, reals, steps, scratch)
            if control[KEEPS_BEST] == 2:
                keep_best(theta, best, val_losses[epoch], epoch, reals, steps, scratch)
            control[BATCH] = 0
            epoch += 1
    for lane in range(LANES):
        steps[lane] += done
    control[EPOCHS] = epoch
    keep_tiny(before)
