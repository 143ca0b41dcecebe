"""Mini-batches: forward, backward and update of every batch without a look at Python.

The values of a layer lie as (batch, units), from `batch_size` times its place in one sample's.
"""

STRIP = 8  # rows of a matrix whose derivatives wait in the nearest cache until they move them


@inlined
def gather(layers, X, order, place, rows, o):
    """The inputs of a batch, side by side."""
    width = of_layer(layers, 0, PAD)
    for row in range(rows):
        sample = order[place + row]
        for i in range(0, width, LANES):
            store(o, row * width + i, load(X, sample * width + i))


@inlined
def forward_rows(
    layers,
    sources,
    theta,
    z,
    y,
    o,
    kept,
    drop_rates,
    mask,
    scratch,
    p,
    noise_rng,
    zeros,
    batch_size,
    rows,
):
    """Net inputs z and outputs y of all layers but the last one's outputs; `zeros` ends in them."""
    last = count_layers(layers) - 1
    for layer in range(1, last + 1):
        pad, at = of_layer(layers, layer, PAD), of_layer(layers, layer, AT)
        base = batch_size * at
        for s in range(of_layer(layers, layer, FIRST), of_layer(layers, layer, LAST)):
            below = of_source(sources, s, FROM)
            x, x_row = batch_size * of_layer(layers, below, AT), of_layer(layers, below, PAD)
            depth, matrix = of_source(sources, s, WIDTH), of_source(sources, s, MATRIX)
            begin, at_begin, row_of_begin = zeros, theta.size, 0
            if s > of_layer(layers, layer, FIRST):
                begin, at_begin, row_of_begin = z, base, pad
            elif of_layer(layers, layer, BIAS) >= 0:
                begin, at_begin = theta, of_layer(layers, layer, BIAS)
            product(
                rows,
                pad,
                depth,
                o,
                x,
                x_row,
                1,
                theta,
                matrix,
                pad,
                begin,
                at_begin,
                row_of_begin,
                z,
                base,
                pad,
            )
        if layer < last:
            for row in range(rows):
                place = base + row * pad
                forward(of_layer(layers, layer, ACTIVATION), z, y, place, pad, mask, at, scratch, p)
        if HAS_DROPOUT:
            if drop_rates[layer] > 0:
                drop(
                    noise_rng,
                    drop_rates[layer],
                    rows,
                    of_layer(layers, layer, UNITS),
                    pad,
                    y,
                    o,
                    kept,
                    base,
                )
            else:
                for i in range(base, base + rows * pad, LANES):
                    store(o, i, load(y, i))


@inlined
def head_rows(
    layers, T, weights, order, place, rows, z, y, d, mask, scratch, p, outputs, batch_size
):
    """The loss summed over a batch, and the output layer's deltas, of the mean."""
    last = count_layers(layers) - 1
    pad, at = of_layer(layers, last, PAD), of_layer(layers, last, AT)
    base = batch_size * at
    found = 0.0
    for row in range(rows):
        sample = order[place + row]
        x = base + row * pad
        loss = F64(first(head(z, y, x, d, T, sample * pad, pad, mask, at, scratch, p)))
        if WEIGHTED:
            loss *= F64(weights[sample])
        found += loss
        for b in range(x, x + pad, LANES):
            delta = divide(load(d, b), splat(F64(rows)))
            if WEIGHTED:
                delta = multiply(delta, splat(weights[sample]))
            store(d, b, delta)
        if KEEPS_OUTPUTS:
            for b in range(0, pad, LANES):
                store(outputs, (place + row) * pad + b, load(y, x + b))
    return found


@inlined
def backward_rows(
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
    mask,
    scratch,
    p,
    c,
    batch_size,
    rows,
):
    """The generalized delta rule for a batch: each derivative moves its weight where it arises.

    What is handed down comes from the turned matrices, which move after all. Where norms are
    clipped every derivative goes into `gradient`, and nothing moves.
    """
    last = count_layers(layers) - 1
    zeros = theta.size
    for layer in range(last, 0, -1):
        units, pad, at = (
            of_layer(layers, layer, UNITS),
            of_layer(layers, layer, PAD),
            of_layer(layers, layer, AT),
        )
        base = batch_size * at
        if layer < last:
            for row in range(rows):
                place = base + row * pad
                if HAS_DROPOUT:
                    for b in range(place, place + pad, LANES):
                        store(d, b, multiply(load(d, b), load(kept, b)))
                backward(
                    of_layer(layers, layer, ACTIVATION), d, z, y, place, pad, mask, at, scratch, p
                )
        for s in range(of_layer(layers, layer, LAST) - 1, of_layer(layers, layer, FIRST) - 1, -1):
            below, width = of_source(sources, s, FROM), of_source(sources, s, WIDTH)
            x, x_row = batch_size * of_layer(layers, below, AT), of_layer(layers, below, PAD)
            turned = of_source(sources, s, TURNED)
            if turned >= 0:
                begin, at_begin, row_of_begin = d, x, x_row
                if of_source(sources, s, IS_FIRST) != 0:
                    begin, at_begin, row_of_begin = gradient, zeros, 0
                product(
                    rows,
                    x_row,
                    units,
                    d,
                    base,
                    pad,
                    1,
                    theta,
                    turned,
                    x_row,
                    begin,
                    at_begin,
                    row_of_begin,
                    d,
                    x,
                    x_row,
                )
            if of_layer(layers, layer, MOVES_WEIGHT) != 0:
                matrix = of_source(sources, s, MATRIX)
                strip = width if CLIPS_NORM else STRIP
                for i in range(0, width, strip):
                    into = matrix if CLIPS_NORM else 0
                    here = min(strip, width - i)
                    product(
                        here,
                        pad,
                        rows,
                        o,
                        x + i,
                        1,
                        x_row,
                        d,
                        base,
                        pad,
                        gradient,
                        zeros,
                        0,
                        gradient,
                        into,
                        pad,
                    )
                    if not CLIPS_NORM:
                        at_strip = matrix + i * pad
                        for b in range(0, here * pad, LANES):
                            g = load(gradient, b)
                            update(theta, slots, theta.size, at_strip + b, g, l1, l2, p, c)
        if of_layer(layers, layer, MOVES_BIAS) != 0:
            for b in range(0, pad, LANES):
                found = splat(0.0)
                for row in range(rows):
                    found = add(found, load(d, base + row * pad + b))
                at_bias = of_layer(layers, layer, BIAS) + b
                if CLIPS_NORM:
                    store(gradient, at_bias, found)
                else:
                    update(theta, slots, theta.size, at_bias, found, l1, l2, p, c)


@inlined
def shorten(layers, sources, windows, theta, gradient, l1, l2, p, c, reals):
    """Clip by the norm of each array, or of all together: regularizers.ClipNorm, ClipGlobalNorm."""
    whole = 0.0
    for w in range(windows.shape[0]):
        squares = splat(0.0)
        for at in range(windows[w, 0], windows[w, 1], LANES):
            penalize(theta, gradient, 0, at, load(gradient, at), l1, l2, p, c)
            g = load(gradient, at)
            squares = fma(g, g, squares)
        found = F64(total(squares))
        whole += found
        if not CLIPS_GLOBALLY:
            scale(gradient, windows[w, 0], windows[w, 1], math.sqrt(found), reals[CLIP_MOST])
    if CLIPS_GLOBALLY:
        for w in range(windows.shape[0]):
            scale(gradient, windows[w, 0], windows[w, 1], math.sqrt(whole), reals[CLIP_MOST])


@inlined
def scale(gradient, start, stop, length, most):
    """Shorten a stretch of this length where it is longer."""
    if length > most:
        by = splat(most / length)
        for at in range(start, stop, LANES):
            store(gradient, at, multiply(load(gradient, at), by))


@inlined
def descend(layers, sources, theta, slots, gradient, l1, l2, p, c):
    """Update every weight and bias that is trained."""
    stride = theta.size
    for layer in range(1, count_layers(layers)):
        pad = of_layer(layers, layer, PAD)
        if of_layer(layers, layer, MOVES_WEIGHT) != 0:
            for s in range(of_layer(layers, layer, FIRST), of_layer(layers, layer, LAST)):
                begin = of_source(sources, s, MATRIX)
                for at in range(begin, begin + of_source(sources, s, WIDTH) * pad, LANES):
                    update(theta, slots, stride, at, load(gradient, at), l1, l2, p, c)
        if of_layer(layers, layer, MOVES_BIAS) != 0:
            begin = of_layer(layers, layer, BIAS)
            for at in range(begin, begin + pad, LANES):
                update(theta, slots, stride, at, load(gradient, at), l1, l2, p, c)


@inlined
def turn(layers, sources, theta):
    """Bring the turned matrices up to date."""
    for layer in range(1, count_layers(layers)):
        if of_layer(layers, layer, MOVES_WEIGHT) == 0:
            continue
        units, pad = of_layer(layers, layer, UNITS), of_layer(layers, layer, PAD)
        for s in range(of_layer(layers, layer, FIRST), of_layer(layers, layer, LAST)):
            if of_source(sources, s, TURNED) < 0:
                continue
            turned, matrix = of_source(sources, s, TURNED), of_source(sources, s, MATRIX)
            turned_pad = of_layer(layers, of_source(sources, s, FROM), PAD)
            for j in range(units):
                for i in range(of_source(sources, s, WIDTH)):
                    theta[turned + j * turned_pad + i] = theta[matrix + i * pad + j]


@entry(
    "void(i8[::1], i8[::1], i8[:, ::1], R[::1], R[::1], R[::1], R[::1], R[::1], R[::1], f8[::1], "
    "R[::1], f8[::1], R[::1], R[::1], R[::1], R[::1], R[::1], R[::1], R[::1], R[::1], R[::1], "
    "R[::1], R[::1], R[::1], R[::1], i8[::1], u8[::1], u8[::1], R[::1], R[::1], f8[::1], f8[::1], "
    "R[::1], R[::1], i8[::1], f8[::1], i8, i8, i8)"
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
    mask,
    z,
    y,
    o,
    d,
    kept,
    scratch,
    gradient,
    order,
    order_rng,
    noise_rng,
    start,
    best,
    losses,
    val_losses,
    outputs,
    val_outputs,
    control,
    reals,
    batch_size,
    epochs,
    updates,
):
    """Train for so many epochs, or so many updates; `control` and `reals` say how it stands."""
    samples = order.size
    batches = (samples + batch_size - 1) // batch_size
    epoch, done = 0, 0
    before = flush_tiny()
    while epoch < epochs and done < updates:
        if control[BATCH] == 0:
            if SHUFFLED:
                draw_order(order_rng, order)
            reals[TOTAL] = 0.0
            if done + batches > updates:
                copy(theta, start)
        begin = control[BATCH]
        end = min(batches, begin + updates - done)
        for batch in range(begin, end):
            place = batch * batch_size
            rows = min(batch_size, samples - place)
            gather(layers, X, order, place, rows, o)
            forward_rows(
                layers,
                sources,
                theta,
                z,
                y,
                o,
                kept,
                drop_rates,
                mask,
                scratch,
                p,
                noise_rng,
                gradient,
                batch_size,
                rows,
            )
            loss = head_rows(
                layers,
                T,
                weights,
                order,
                place,
                rows,
                z,
                y,
                d,
                mask,
                scratch,
                p,
                outputs,
                batch_size,
            )
            reals[TOTAL] += loss
            begin_update(q, c, rates, epoch, done + batch - begin, loss, reals, control)
            backward_rows(
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
                mask,
                scratch,
                p,
                c,
                batch_size,
                rows,
            )
            if CLIPS_NORM:
                shorten(layers, sources, windows, theta, gradient, l1, l2, p, c, reals)
                descend(layers, sources, theta, slots, gradient, l1, l2, p, c)
            turn(layers, sources, theta)
        done += end - begin
        control[BATCH] = end
        if end == batches:
            if not end_epoch(
                layers,
                sources,
                theta,
                VX,
                VT,
                z,
                y,
                mask,
                scratch,
                p,
                best,
                losses,
                val_losses,
                val_outputs,
                control,
                reals,
                epoch,
                samples,
            ):
                break
            epoch += 1
    keep_tiny(before)
