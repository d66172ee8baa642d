r"""Deep stacks: greedy layer-wise pretraining, then fine-tuning of the whole.     (sections 14.3, 15.1)

    h⁰ = x;   for k = 1, 2, …:   train an autoencoder of one layer on hᵏ⁻¹, and keep hᵏ = fₖ(hᵏ⁻¹)

Its encoder becomes layer k of f. Where the decoder mirrors the encoder, its decoder becomes the layer of g that undoes
it. What follows is the training of any model, with `fit`: of an autoencoder on x (Hinton and Salakhutdinov 2006), or of
a `Classifier` on x and y (Bengio et al. 2007). All layers move then, unless `rates` of the optimizer says otherwise.
"""

from minae.autoencoders.undercomplete import UndercompleteAutoencoder
from minae.errors import InputError
from minae.networks import Dense


def pretrain(model, X, layer=UndercompleteAutoencoder, *, loss="bernoulli", seed=0, options=None, **fit):
    """Fill the layers of `model` greedily from X, (rows, n). Returns the History of each layer.

    layer:   the variant that each layer is trained as: of sizes (n_k−1, n_k), with layer k's activation
    loss:    −log p(x | h) of the first; a later one has "bernoulli" where it reads sigmoids, else "gaussian"
    options: further arguments of `layer`, such as {"level": 0.25} for a denoising one; a list has one dict a layer
    fit:     the options of `fit`, such as epochs and optimizer

    Raises InputError for a model without layers to fill.
    """
    depth, histories, h = len(model.f.layers), [], X
    if not depth or model.code_parts != 1 or not all(isinstance(layer, Dense) for layer in model.f.layers):
        raise InputError(f"pretrain fills layers h = φ(x W + b), and {model!r} has none: build it with a code layer")
    options = options if isinstance(options, list) else [options or {}] * depth
    if len(options) != depth:
        raise InputError(f"options has {len(options)} entries and the encoder {depth} layers: give one dict for each")
    if given := {"validation", "patience", "checkpoint", "resume"} & set(fit):
        raise InputError(f"{', '.join(sorted(given))} is not for pretrain, whose layers are a run each: leave it out")
    f, g = model.f.layers, model.g.layers[::-1]
    mirrored = not model.supervised and [(layer.m, layer.n) for layer in f] == [(layer.n, layer.m) for layer in g]
    for k, into in enumerate(f):
        if k:
            loss = "bernoulli" if f[k - 1].activation == "sigmoid" else "gaussian"
        phi = into.activation if k + 1 < depth else model.config["code"]
        form = dict(code=phi, activation=phi, loss=loss, seed=seed + k)
        if mirrored and g[k].transposed:
            form["tied"] = True
        try:
            part = layer((into.n, into.m), **form | options[k], backend=model.backend, dtype=model.dtype.name)
        except TypeError as error:
            raise InputError(f"{layer.__name__} cannot be a layer with {options[k]}: {error}") from error
        if part.code_parts != 1 or len(part.f.layers) != 1:
            raise InputError(
                f"layer is {layer.__name__}: its encoder is more than h = φ(x W + b), so it cannot be kept"
            )
        histories.append(part.fit(h, seed=seed + k, **fit))
        _copy(model, into.names, part, part.f.layers[0].names)
        if mirrored:
            _copy(model, g[k].names, part, part.g.layers[0].names)
        if k + 1 < depth:
            h = part.encode(h)
    return histories


def copy_encoder(source, target):
    """Give the layers of `source`'s encoder to `target`'s, from x up, as many as `target` has."""
    a, b = source.f.layers, target.f.layers
    form = [[(type(p), getattr(p, "activation", None), list(p.shapes().values())) for p in layers] for layers in (a, b)]
    if form[0][: len(b)] != form[1]:
        about = [[f"{getattr(layer, 'activation', '')} {layer.m}".strip() for layer in layers] for layers in (a, b)]
        raise InputError(f"the source's encoder has the layers {about[0]}, the target's {about[1]}: build them alike")
    for p, q in zip(a, b, strict=False):
        _copy(target, q.names, source, p.names)


def _copy(target, into, source, names):
    for name, other in zip(into, names, strict=True):
        W = source.backend.to_numpy(source.parameters[other])
        target.parameters[name][...] = target.backend.from_numpy(W.astype(target.dtype))
