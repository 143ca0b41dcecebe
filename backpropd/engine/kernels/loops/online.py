"""Online learning: an update after every sample, whole epochs without a look at Python.

Each weight's update happens where its derivative arises, so that no gradient is ever stored. The
turned copies move by the same update of the same numbers, and so stay equal to the last bit.
"""


@inlined
def forward_dropped(layers, sources, theta, z, y, o, kept, drop_rates, mask, scratch, p, noise_rng):
    """As forward_row; the layers above get outputs o, of which some are dropped."""
    last = count_layers(layers) - 1
    for layer in range(1, last + 1):
        net_inputs(layers, sources, layer, theta, o, z)
        at, pad = of_layer(layers, layer, AT), of_layer(layers, layer, PAD)
        if layer < last:
            forward(of_layer(layers, layer, ACTIVATION), z, y, at, pad, mask, at, scratch, p)
            if drop_rates[layer] > 0:
                drop(
                    noise_rng,
                    drop_rates[layer],
                    1,
                    of_layer(layers, layer, UNITS),
                    pad,
                    y,
                    o,
                    kept,
                    at,
                )
            else:
                for b in range(0, pad, LANES):
                    store(o, at + b, load(y, at + b))
        elif drop_rates[layer] > 0:  # drawn for nobody, as in Network.forward
            drop(
                noise_rng, drop_rates[layer], 1, of_layer(layers, layer, UNITS), pad, z, o, kept, at
            )


@inlined
def descend_row(layers, sources, theta, slots, l1, l2, d, z, y, o, kept, mask, scratch, p, c):
    """From the output's deltas down: each layer hands its own down, and then moves."""
    last = count_layers(layers) - 1
    stride = theta.size
    for layer in range(last, 0, -1):
        units, pad, at = (
            of_layer(layers, layer, UNITS),
            of_layer(layers, layer, PAD),
            of_layer(layers, layer, AT),
        )
        if layer < last:
            if HAS_DROPOUT:
                for b in range(0, pad, LANES):
                    store(d, at + b, multiply(load(d, at + b), load(kept, at + b)))
            backward(of_layer(layers, layer, ACTIVATION), d, z, y, at, pad, mask, at, scratch, p)
        moves = of_layer(layers, layer, MOVES_WEIGHT) != 0
        for s in range(of_layer(layers, layer, LAST) - 1, of_layer(layers, layer, FIRST) - 1, -1):
            source, width = of_source(sources, s, FROM), of_source(sources, s, WIDTH)
            x = of_layer(layers, source, AT)
            if of_source(sources, s, TURNED) >= 0:
                turned_pad = of_layer(layers, source, PAD)
                for b in range(0, turned_pad, LANES):
                    total_below = splat(0.0)
                    if of_source(sources, s, IS_FIRST) == 0:
                        total_below = load(d, x + b)
                    value = load(o, x + b)
                    at_turned = of_source(sources, s, TURNED) + b
                    for j in range(units):
                        delta = spread(d, at + j)
                        total_below = fma(load(theta, at_turned), delta, total_below)
                        if moves:
                            g = multiply(value, delta)
                            update(theta, slots, stride, at_turned, g, l1, l2, p, c)
                        at_turned += turned_pad
                    store(d, x + b, total_below)
            if moves:
                for b in range(0, pad, LANES):
                    delta = load(d, at + b)
                    at_matrix = of_source(sources, s, MATRIX) + b
                    for i in range(width):
                        g = multiply(spread(o, x + i), delta)
                        update(theta, slots, stride, at_matrix, g, l1, l2, p, c)
                        at_matrix += pad
        if of_layer(layers, layer, MOVES_BIAS) != 0:
            for b in range(0, pad, LANES):
                at_bias = of_layer(layers, layer, BIAS) + b
                update(theta, slots, stride, at_bias, load(d, at + b), l1, l2, p, c)


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
    last = count_layers(layers) - 1
    samples, width = order.size, of_layer(layers, 0, PAD)
    at, pad = of_layer(layers, last, AT), of_layer(layers, last, PAD)
    epoch, done = 0, 0
    before = flush_tiny()
    # unrolled: loads
    while epoch < epochs and done < updates:
        if control[BATCH] == 0:
            if SHUFFLED:
                draw_order(order_rng, order)
            reals[TOTAL] = 0.0
            if done + samples > updates:
                copy(theta, start)
        begin = control[BATCH]
        end = min(samples, begin + updates - done)
        for place in range(begin, end):
            sample = order[place]
            # unrolled: begin
            for i in range(0, width, LANES):
                store(o, i, load(X, sample * width + i))
            if HAS_DROPOUT:
                forward_dropped(
                    layers, sources, theta, z, y, o, kept, drop_rates, mask, scratch, p, noise_rng
                )
            else:
                forward_row(layers, sources, theta, z, y, o, mask, scratch, p)
            error = head(z, y, at, d, T, sample * pad, pad, mask, at, scratch, p)
            if KEEPS_OUTPUTS:
                for b in range(0, pad, LANES):
                    store(outputs, place * pad + b, load(y, at + b))
            # unrolled: end
            loss = F64(first(error))
            if WEIGHTED:
                loss *= F64(weights[sample])
            reals[TOTAL] += loss
            begin_update(q, c, rates, epoch, done + place - begin, loss, reals, control)
            # unrolled: begin
            if WEIGHTED:
                for b in range(0, pad, LANES):
                    store(d, at + b, multiply(load(d, at + b), spread(weights, sample)))
            descend_row(
                layers, sources, theta, slots, l1, l2, d, z, y, o, kept, mask, scratch, p, c
            )
            # unrolled: end
        # unrolled: stores
        done += end - begin
        control[BATCH] = end
        if end == samples:
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
