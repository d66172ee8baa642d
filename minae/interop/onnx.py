r"""A model as an ONNX graph, which runs without minae: by onnxruntime, in a browser, on a phone.     (section A.6)

    from minae.interop import onnx

    onnx.export(model, "model.onnx")                     # x -> h and r
    onnx.export(model, "encoder.onnx", part="encoder")   # x -> h
    onnx.export(model, "decoder.onnx", part="decoder")   # h -> r

A graph computes what the model computes in evaluation, in float32, for any number of rows. Its inputs and outputs are
    x       rows as `minae encode` reads them from a file; whole numbers, int32, where a model reads tokens
    h       the code that `encode` gives
    r       what the model says of a row: the reconstruction, or the probabilities of the classes (the margins, of a
            hinge loss), or log p of each token, or the row in the other domain and back again
    length  int32 (batch,): the steps of each sequence. Behind them stands any finite number, or any token of the
            vocabulary, and what h and r have there means nothing
and v of kind voice, t of kind diffusion (where x is the noisy x_t), c of kind generative_adversarial (where h is the
noise), and L of kind deep_svdd.

What the graph does of the preprocessing that a model's file remembers: it divides x by `scale`, takes `mean` away and
divides by `deviation`. So an app gives the numbers of the file, such as pixels of 0 … 255, and gets the codes of
`minae encode`. What is done to a file and not to numbers is left to the app: to leave out columns, to look up words, to
read a table or a sound. All of it stands in the metadata as JSON. r is as `minae reconstruct` writes it, prepared:
(r · deviation + mean) · scale leads back. In Python, `model.encode` takes rows that were prepared already; where a
model's `preprocessing` does nothing, as after `fit` on an array, the two are the same.

Refused is what searches or writes step by step, and is no graph: kind abstractive, and kind extractive where the first
words are the code. Of kind predictive_sparse the graph is f, one pass, as in `encode`; `infer` stays with minae. So do
the draws of `sample`, but a decoder takes any h, also noise.

FORMS has the graph of each layer, by its class, and PAGES those of each kind of model. A layer or a model of your own
is refused until you give it one:
    FORMS[MyLayer] = lambda g, layer, x: g("Mul", x, g.parameter("W"))       the formula, by the operators of ONNX
    PAGES[MyModel] = encode, decode      functions of (g, model), which take what they read and give h and r, as below

A model of float64 is written in float32, which is what runtimes are fast in.
"""

from typing import Any

import numpy as np

from minae import __version__, files
from minae.data.text import END
from minae.errors import InputError
from minae.interop.onnx_layers import FORMS, MEANS, OPSET, Graph, library, normalization
from minae.models.abstractive import AbstractiveAutoencoder
from minae.models.autoencoder import Autoencoder
from minae.models.byte_denoising import ByteDenoising
from minae.models.classifier import Classifier
from minae.models.cycle import CycleConsistent
from minae.models.deep_svdd import DeepSVDD
from minae.models.diffusion import DiffusionModel
from minae.models.extractive import ExtractiveAutoencoder
from minae.models.gated import GatedAutoencoder
from minae.models.generative_adversarial import GenerativeAdversarial
from minae.models.k_sparse import KSparseAutoencoder
from minae.models.language import LanguageModel
from minae.models.lista import LISTA
from minae.models.model import Model
from minae.models.tabular import TabularClassifier
from minae.models.voice import VoiceAutoencoder
from minae.options import Choice, File, Instance, door

__all__ = ["FORMS", "MEANS", "PAGES", "export", "graph"]

PARTS = ("encoder", "decoder", "all")

# ---- the models: what makes h of x, and what makes r of h


def encode(g, model):
    """h = f(x), and the code between f and g."""
    h, between = g.apply(model.f, g.x()), getattr(model, "between", None)
    g.give("h", h if between is None else g.apply(between, h), code_width(model))


def code_width(model):
    """How many numbers h has."""
    if isinstance(model, Autoencoder) or "g" not in model.nets:
        return model.sizes[-1]
    return model.g.layers[0].n


def mean(g, model, *shape):
    """The mean of p(x | h), in this shape."""
    s = g.apply(model.g, g.take("h", code_width(model)))
    if type(model.loss) not in MEANS:
        raise InputError(
            f"a loss of class {type(model.loss).__name__} has no ONNX form: give it one in minae.interop.onnx.MEANS"
        )
    return g("Reshape", MEANS[type(model.loss)](g, model.loss, s), [0, *shape])


def decode(g, model):
    shape = getattr(model, "image", None) or model.sizes[:1]
    g.give("r", mean(g, model, *shape), *shape)


def classify(g, model):
    g.give("r", mean(g, model, model.classes), model.classes)


def say_yes(g, model):
    g.give("r", mean(g, model))  # p(y = 1 | x), (B,)


def grey_picture(g, model):
    g.give("r", mean(g, model, model.side, model.side), model.side, model.side)


def gated(g, model):
    """h = [π > 0] max(0, u e^r + b_m)"""
    pi = g.apply(model.f, g.x())
    u = g("Sub", pi, g.parameter("b1"))
    m = g("Relu", g("Add", g("Mul", u, np.exp(g.numbers("r"))), g.parameter("b_m")))
    g.give("h", g("Mul", m, g.floats(g("Greater", pi, 0.0))), model.code_size)


def svdd(g, model):
    """h, and L = ‖h − c‖², which is large where x is unusual."""
    encode(g, model)
    d = g("Sub", "h", g.numbers("c"))
    g.give("L", g("ReduceSum", g("Mul", d, d), [1], keepdims=0))


def translate(g, model):
    g.give("h", g.apply(model.G, g.x()), model.sizes[-1])


def translate_back(g, model):
    g.give("r", g.apply(model.F, g.take("h", model.sizes[-1])), model.sizes[0])


def generate(g, model):
    """r = g(z, c), where h is the noise z."""
    z = g.take("h", model.sizes[-1])
    z = g("Concat", z, g.take("c", model.condition), axis=1) if model.condition else z
    g.give("r", g.apply(model.g, z), model.sizes[0])


def denoise(g, model):
    """h = f(x_t, τ(t))"""
    both = g("Concat", g.x(prepared=False), g.apply(model.times, g.take("t", 1)), axis=1)
    g.give("h", g.apply(model.f, both), code_width(model))


def listen(g, model):
    """c = f(x) as h, and v = e(x)"""
    x = g.apply(model.end, g.x())
    g.give("h", g.apply(model.f, x), "steps", model.content)
    g.give("v", g.apply(model.e, x), model.speaker)


def speak(g, model):
    """r = g(c, v)"""
    style, H = g.apply(model.s, g.take("v", model.speaker)), model.hidden
    a = g.apply(model.g1, g.take("h", "steps", model.content))
    a = normalization(g, model.a1, a, g.cut(style, 0, 2 * H))
    a = normalization(g, model.a2, g.apply(model.g2, a), g.cut(style, 2 * H, 4 * H))
    g.give("r", g.apply(model.g3, a), "steps", model.bands)


def read(g, model):
    """h = f(x̃): for causal, ‹end› and x but for its last token."""
    x = g.x()
    if model.task == "causal":
        x = g("Pad", g.cut(x, 0, -1, axis=1), [0, 1, 0, 0], np.int32(END))
    g.give("h", g.apply(model.f, x), "steps", model.width)


def next_words(g, model):
    """log p of every token at every place."""
    s = g.apply(model.g, g.take("h", "steps", model.width))
    g.give("r", MEANS[type(model.loss)](g, model.loss, s), "steps", model.vocabulary)


def point(g, model):
    """The places of the k words with the largest q, the most likely first."""
    if not model.learned:
        raise InputError("choice is 'first': the code is the first k words, and there is nothing to export")
    x = g.x()
    a = g("Where", g.live(x), g("Squeeze", g.apply(model.f, x), [2]), -np.inf)
    _, place = g("TopK", a, [model.k], outputs=2, axis=1)
    g.give("h", place, model.k, dtype=np.int64)


def write_words(g, model):
    raise InputError(
        "a model of kind 'abstractive' writes its code word by word, which is a search and no graph: encode with minae"
    )


PAGES = {  # kind of model -> what makes h of x, what makes r of h; None where it has no such part
    Autoencoder: (encode, decode),
    KSparseAutoencoder: (encode, decode),
    GatedAutoencoder: (gated, decode),
    LISTA: (encode, decode),
    DiffusionModel: (denoise, decode),
    ByteDenoising: (encode, grey_picture),
    Classifier: (encode, classify),
    TabularClassifier: (encode, say_yes),
    DeepSVDD: (svdd, None),
    CycleConsistent: (translate, translate_back),
    GenerativeAdversarial: (None, generate),
    VoiceAutoencoder: (listen, speak),
    LanguageModel: (read, next_words),
    ExtractiveAutoencoder: (point, None),
    AbstractiveAutoencoder: (write_words, write_words),
}
VERBS = {"code_of", "encode", "decode", "reconstruct", "shaped", "logits", "probabilities", "log_p", "pointer",
         "decoded", "joined", "beside", "moved", "denoise", "translate", "translate_back"}  # fmt: skip


def page(model):
    """The two functions of a model. Raises InputError for one that computes something else, by a verb of its own."""
    for kind in type(model).__mro__:
        if kind in PAGES:
            return PAGES[kind]
        if own := sorted(VERBS & set(vars(kind))):
            raise InputError(
                f"{kind.__name__} has a {own[0]} of its own, which the graph would not have: give it a page in "
                "minae.interop.onnx.PAGES"
            )
    raise InputError(
        f"{type(model).__name__} computes by a page of its own, which is no graph: derive it from Autoencoder, with "
        "networks f and g, or give it a page in minae.interop.onnx.PAGES"
    )


@door(model=Instance(Model, words="a model"), part=Choice("all", among=PARTS))
def graph(model: Model, part: str = "all") -> Any:
    """The `onnx.ModelProto` of a model or of its encoder or decoder, checked by ONNX's checker.

    "all" is what there is of both. Raises InputError for a model that has no such part, or no feed-forward graph.
    """
    g, steps = Graph(model), dict(zip(("encoder", "decoder"), page(model), strict=True))
    wanted = [step for name, step in steps.items() if part in (name, "all") and step]
    if not wanted:
        other = next(name for name, step in steps.items() if step)
        raise InputError(f"a model of kind {model.name!r} has no {part}: give part {other!r}, or 'all'")
    for step in wanted:
        step(g, model)
    return g.finished(model.name or type(model).__name__, metadata(model, part))


def metadata(model, part):
    """What the file says of the model."""
    words = {"model": model.name, "part": part, "opset": OPSET, "minae_version": __version__}
    words |= {"sizes": model.options.get("sizes"), "config": model.config}
    return words | {"preprocessing": model.preprocessing.described()}


@door(model=Instance(Model, words="a model"), path=File(), part=Choice("all", among=PARTS))
def export(model: Model, path: Any, part: str = "all") -> dict[str, Any]:
    """Write a model, its encoder or its decoder as an ONNX file; a former file is replaced whole.

    Returns the bytes of the file, its opset, and name -> [type, shape] of its inputs and outputs.
    Raises InputError for what `graph` refuses, and where nothing can be written.
    """
    files.target(path)
    proto = graph(model, part)
    data = proto.SerializeToString(deterministic=True)
    files.replace(path, data)
    found: dict[str, Any] = {"bytes": len(data), "opset": OPSET}
    for what, tensors in (("inputs", proto.graph.input), ("outputs", proto.graph.output)):
        found[what] = {each.name: _described(each.type.tensor_type) for each in tensors}
    return found


def _described(tensor):
    dtype = library().helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    return [dtype.name, [each.dim_param or each.dim_value for each in tensor.shape.dim]]
