"""One sample through the network, and what every kernel does at the end of an epoch."""


@inlined
def of_layer(layers, layer, column):
    """An entry of the table of layers."""
    return fixed(layers, layer * LAYER_COLUMNS + column)


@inlined
def of_source(sources, source, column):
    """An entry of the table of sources."""
    return fixed(sources, source * SOURCE_COLUMNS + column)


@inlined
def count_layers(layers):
    """How many there are, with the inputs."""
    return layers.size // LAYER_COLUMNS


@inlined
def forward_row(layers, sources, theta, z, y, o, mask, scratch, p):
    """Net inputs z and outputs y of all layers but the last one's outputs, from inputs in o."""
    last = count_layers(layers) - 1
    for layer in range(1, last + 1):
        net_inputs(layers, sources, layer, theta, o, z)
        if layer < last:
            at, pad = of_layer(layers, layer, AT), of_layer(layers, layer, PAD)
            forward(of_layer(layers, layer, ACTIVATION), z, y, at, pad, mask, at, scratch, p)


@inlined
def net_inputs(layers, sources, layer, theta, o, z):
    """z = b + sum_i w_i o_i of one layer: two sums that do not wait for each other."""
    pad, at, bias = (
        of_layer(layers, layer, PAD),
        of_layer(layers, layer, AT),
        of_layer(layers, layer, BIAS),
    )
    for b in range(0, pad, LANES):
        even = splat(0.0)
        odd = splat(0.0)
        if bias >= 0:
            even = load(theta, bias + b)
        for s in range(of_layer(layers, layer, FIRST), of_layer(layers, layer, LAST)):
            q = of_source(sources, s, MATRIX) + b
            x = of_layer(layers, of_source(sources, s, FROM), AT)
            width = of_source(sources, s, WIDTH)
            i = 0
            while i + 2 <= width:
                even = fma(spread(o, x + i), load(theta, q), even)
                odd = fma(spread(o, x + i + 1), load(theta, q + pad), odd)
                q += 2 * pad
                i += 2
            if i < width:
                even = fma(spread(o, x + i), load(theta, q), even)
        store(z, at + b, add(even, odd))


@inlined
def mean_loss(layers, sources, theta, X, T, z, y, mask, scratch, p, outputs, keeps):
    """The mean loss of samples X (N rows), without noise; their outputs where they are kept."""
    last = count_layers(layers) - 1
    width, at, pad = (
        of_layer(layers, 0, PAD),
        of_layer(layers, last, AT),
        of_layer(layers, last, PAD),
    )
    samples = X.size // width
    found = 0.0
    for sample in range(samples):
        for i in range(0, width, LANES):
            store(y, i, load(X, sample * width + i))
        forward_row(layers, sources, theta, z, y, y, mask, scratch, p)
        loss = measure(z, y, at, z, T, sample * pad, pad, mask, at, scratch, p)
        found += F64(first(loss))
        if keeps:
            for i in range(0, pad, LANES):
                store(outputs, sample * pad + i, load(y, at + i))
    return found / samples


@inlined
def copy(source, target):
    """Whole vectors from one array to another."""
    for i in range(0, source.size, LANES):
        store(target, i, load(source, i))


@inlined
def keep_best(value, epoch, theta, best, reals, control):
    """Keep the weights where the column that is looked at is the lowest so far."""
    if value < reals[BEST_VALUE] or (math.isnan(reals[BEST_VALUE]) and not math.isnan(value)):
        reals[BEST_VALUE] = value
        control[BEST_EPOCH] = epoch
        copy(theta, best)


@inlined
def all_finite(theta):
    """Whether no weight is NaN or infinite."""
    for i in range(theta.size):
        if theta[i] - theta[i] != 0:
            return False
    return True


@inlined
def begin_update(q, c, rates, epoch, update, loss, reals, control):
    """Count the update and find its numbers: the learning rate, whether the error rose, ..."""
    control[STEP] += 1
    rose = 1.0 if loss > reals[LAST_LOSS] else 0.0
    reals[LAST_LOSS] = loss
    rate = rates[0]
    if control[RATES_PER] == 1:
        rate = rates[epoch]
    elif control[RATES_PER] == 2:
        rate = rates[update]
    moments(q, c, rate, F64(control[STEP]), rose, 0)
    for k in range(MOMENTS):
        store(c, k * LANES, splat(c[k * LANES]))


@inlined
def end_epoch(
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
    """Note the epoch's losses, keep the best; False where a number is not finite any more."""
    mean = reals[TOTAL] / samples
    if mean - mean != 0 or (control[CAREFUL] != 0 and not all_finite(theta)):
        control[BAD] = 1
        return False
    losses[epoch] = mean
    judged = mean
    if VALIDATES:
        val_losses[epoch] = mean_loss(
            layers, sources, theta, VX, VT, z, y, mask, scratch, p, val_outputs, KEEPS_OUTPUTS
        )
        if control[BEST_OF] == 2:
            judged = val_losses[epoch]
    if control[BEST_OF] != 0:
        keep_best(judged, epoch, theta, best, reals, control)
    control[BATCH] = 0
    control[EPOCHS] = epoch + 1
    return True
