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
    for k, into in enumerate(model.f.layers):
        if k:
            loss = "bernoulli" if model.f.layers[k - 1].activation == "sigmoid" else "gaussian"
        form = dict(code=into.activation, activation=into.activation, loss=loss, seed=seed + k)
        part = layer((into.n, into.m), **form | options[k], backend=model.backend, dtype=model.dtype.name)
        histories.append(part.fit(h, seed=seed + k, **fit))
        _copy(part.f.layers[0], into)
        if len(model.g.layers) == depth:
            _copy(part.g.layers[0], model.g.layers[depth - 1 - k])
        if k + 1 < depth:
            h = part.encode(h)
    return histories


def copy_encoder(source, target):
    """Give the layers of `source`'s encoder to `target`'s, from x up, as many as `target` has."""
    a, b = source.f.layers, target.f.layers
    shapes = [[(type(layer), layer.shapes()) for layer in layers] for layers in (a, b)]
    if shapes[0][: len(b)] != shapes[1]:
        widths = [[layer.m for layer in layers] for layers in (a, b)]
        raise InputError(f"the source's encoder has layers of {widths[0]} units, the target's {widths[1]}: build alike")
    for p, q in zip(a, b, strict=False):
        _copy(p, q)


def _copy(source, target):
    target.W[...], target.b[...] = source.W, source.b
