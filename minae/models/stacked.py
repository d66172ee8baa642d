r"""Deep stacks: greedy layer-wise pretraining, then fine-tuning of the whole.     (sections 14.3, 15.1)

    h⁰ = x;   for k = 1, 2, …:   train an autoencoder of one layer on hᵏ⁻¹, and keep hᵏ = fₖ(hᵏ⁻¹)

Its encoder becomes layer k of f. Where the decoder mirrors the encoder, its decoder becomes the layer of g that undoes
it. What follows is the training of any model, with `fit`: of an autoencoder on x (Hinton and Salakhutdinov 2006), or of
a `Classifier` on x and y (Bengio et al. 2007). All layers move then, unless `rates` of the optimizer says otherwise.
"""

from collections.abc import Sequence
from typing import Any

from minae.errors import InputError
from minae.layers import Activation, Affine
from minae.losses import LOSSES
from minae.models.autoencoder import Autoencoder
from minae.models.model import Model
from minae.models.undercomplete import UndercompleteAutoencoder
from minae.options import Choice, Count, Function, Instance, door

MODEL = Instance(Model, words="a model")


@door(
    model=MODEL,
    layer=Function(),
    loss=Choice("bernoulli", among=tuple(LOSSES)),
    seed=Count(lowest=0),
)
def pretrain(
    model: Model,
    X: Any,
    layer: type[Model] = UndercompleteAutoencoder,
    *,
    loss: str = "bernoulli",
    seed: int = 0,
    options: Any = None,
    **fit: Any,
) -> list[Any]:
    """Fill the layers of `model` greedily from X, (rows, n). Returns the History of each layer.

    layer:   the model that each layer is trained as: of sizes (n_k−1, n_k), with layer k's activation
    loss:    −log p(x | h) of the first; a later one has "bernoulli" where it reads sigmoids, else "gaussian"
    options: further arguments of `layer`, such as {"level": 0.25} for a denoising one; a list has one dict a layer
    fit:     the settings of `fit`, such as epochs and optimizer

    Raises InputError for a model without layers to fill.
    """
    if not (isinstance(layer, type) and issubclass(layer, Model)):
        raise InputError(f"layer is {layer!r}: expected a class of models, such as DenoisingAutoencoder")
    f, g = stages(model.f), stages(model.g)[::-1]
    if not f or getattr(model, "code_parts", 1) != 1:
        raise InputError(f"pretrain fills layers h = φ(x W + b), and {model!r} has none: build it with a code layer")
    options = options if isinstance(options, list) else [options or {}] * len(f)
    if not all(isinstance(each, dict) for each in options):
        raise InputError(f"options is {options!r}: expected a dict, or a list with a dict for each layer")
    if len(options) != len(f):
        raise InputError(f"options has {len(options)} entries and the encoder {len(f)} layers: give one dict for each")
    if given := {"validation", "patience", "checkpoint", "resume"} & set(fit):
        raise InputError(f"{', '.join(sorted(given))} is not for pretrain, whose layers are a run each: leave it out")
    mirrored = isinstance(model, Autoencoder) and [(a.m, a.n) for a, _ in f] == [(a.n, a.m) for a, _ in g]
    histories, h = [], X
    for k, (into, phi) in enumerate(f):
        if k + 1 == len(f):
            phi = model.options.get("code", phi)  # a hash's f ends in logits, and its code is their sigmoid
        if k:
            loss = "bernoulli" if f[k - 1][1] == "sigmoid" else "gaussian"
        settings = dict(code=phi, activation=phi, loss=loss, seed=seed + k)
        if mirrored and g[k][0].transposed:
            settings["tied"] = True
        part = layer((into.n, into.m), **settings | options[k], backend=model.backend, dtype=model.dtype.name)
        trained = stages(part.f)
        if getattr(part, "code_parts", 1) != 1 or len(trained) != 1:
            raise InputError(
                f"layer is {layer.__name__}: its encoder is more than h = φ(x W + b), so it cannot be taken"
            )
        histories.append(part.fit(h, seed=seed + k, **fit))
        copy_parameters(model, into.names, part, trained[0][0].names)
        if mirrored:
            copy_decoder(model, g[k][0], part, stages(part.g)[0][0])
        if k + 1 < len(f):
            h = part.encode(h)
    return histories


@door(source=MODEL, target=MODEL)
def copy_encoder(source: Model, target: Model) -> None:
    """Give the layers of `source`'s encoder to `target`'s, from x up, as many as `target` has."""
    a, b = describe(source.f), describe(target.f)
    if a[: len(b)] != b:
        raise InputError(f"the source's encoder has the layers {a}, the target's {b}: build them alike")
    for p, q in zip(source.f.trained(), target.f.trained(), strict=False):
        copy_parameters(target, q.names, source, p.names)


@door(source=MODEL, target=MODEL)
def copy_shared(source: Model, target: Model) -> list[str]:
    """Give the layers of `target`'s encoder what layers of the same names have in `source`'s: parameters, and what a
    normalisation keeps beside them. Returns the names. Raises InputError where there are none, or shapes differ."""
    shared = [name for name in target.f.names if name in source.f.names]
    kept = [name for name in target.f.state() if name in source.f.state()]
    if not shared:
        raise InputError(f"the encoders of {source.name} and {target.name} share no layer: build them of like parts")
    for name in shared:
        one, other = source.parameters[name].shape, target.parameters[name].shape
        if one != other:
            raise InputError(f"{name} of the source has shape {one}, the target's {other}: build them alike")
    copy_parameters(target, shared, source, shared)
    for name in kept:
        target.state[name][...] = target.backend.from_numpy(source.backend.to_numpy(source.state[name]))
    return shared


@door(model=MODEL)
def widen_sigmoids(model: Model) -> Model:
    r"""Multiply each W that a sigmoid follows by 4, in a model that is not trained yet. Returns the model.

    Layers begin with the variance 2/(n + m) of Glorot and Bengio (2010), which keeps the size of a gradient from layer
    to layer where φ'(0) = 1, as tanh has it. A sigmoid has φ'(0) = ¼, so each layer would make the gradient four times
    smaller, and 4 W undoes that. A tied decoder reads the encoder's W, which is multiplied once.

    Derivation: tanh a = 2 σ(2 a) − 1, so σ(4 a) = ½ + ½ tanh 2a, whose slope at a = 0 is 1, as that of tanh a is.
    """
    names = {affine.names[0] for net in model.nets.values() for affine, phi in stages(net) if phi == "sigmoid"}
    for name in names:
        model.parameters[name][...] *= 4
    return model


def stages(network: Any) -> Any:
    """(affine map, name of φ) of each layer φ(x W + b); [] for a network that has others."""
    if not hasattr(network, "layers"):  # a code between f and g
        return []
    pairs = list(zip(network.layers[::2], network.layers[1::2], strict=False))
    alike = all(isinstance(a, Affine) and isinstance(h, Activation) for a, h in pairs)
    return [(a, h.name) for a, h in pairs] if alike and len(network.layers) % 2 == 0 else []


def describe(network: Any) -> Any:
    """The layers in words, such as ['Affine 784-30', 'sigmoid']."""
    words = []
    for layer in network.layers:
        sizes = "-".join(str(size) for size in (getattr(layer, "n", None), getattr(layer, "m", None)) if size)
        words.append(layer.name if isinstance(layer, Activation) else f"{type(layer).__name__} {sizes}")
    return words


def copy_decoder(target: Model, into: Any, source: Model, layer: Any) -> None:
    """Copy V and c of a layer of `source`'s decoder to a layer of `target`'s, where either may be tied: V = Wᵀ."""
    if into.transposed == layer.transposed:
        copy_parameters(target, into.names, source, layer.names)
        return
    if layer.transposed:  # the target's V is its own: it gets what Wᵀ is; a tied target has its W from the encoder
        into.W[...] = target.backend.from_numpy(source.backend.to_numpy(layer.W).astype(target.dtype))
    copy_parameters(target, into.names[1:], source, layer.names[1:])


def copy_parameters(target: Model, into: Sequence[str], source: Model, names: Sequence[str]) -> None:
    """Copy parameters between two models, of any backends and dtypes."""
    for name, other in zip(into, names, strict=True):
        W = source.backend.to_numpy(source.parameters[other])
        target.parameters[name][...] = target.backend.from_numpy(W.astype(target.dtype))
