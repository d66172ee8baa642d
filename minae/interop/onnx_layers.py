"""The ONNX graph of each layer, by its class (FORMS), and the mean of p(x | h) of each loss (MEANS).

A form puts nodes after a tensor, and returns the name of the tensor that they make, in evaluation. Each stands for the
formula that the page of its layer derives. `minae.interop.onnx` makes models of them.
"""

import json
from typing import Any

import numpy as np

from minae import __version__, codes, layers, losses, networks, symbols
from minae.errors import InputError
from minae.fields import Tokens
from minae.models.lista import Unrolled

OPSET, IR = 18, 8  # of ONNX 1.13, 2022: so that older runtimes read the file too
LARGEST = 2**31 - 2**20  # bytes of a file, by the format that it is written in


def library():
    """The package onnx, imported when it is first needed."""
    try:
        import onnx
    except ImportError as error:
        raise InputError("a graph is written by the library onnx: pip install 'minae[onnx]'") from error
    return onnx


class Graph:
    """The nodes of a graph while it is put together. A tensor is its name; arrays and numbers may stand for one.

    g("MatMul", x, W)    a node, and the name of its output
    g.apply(layer, x)    the nodes of a layer
    """

    def __init__(self, model):
        self.model, self.onnx = model, library()
        self.nodes, self.arrays = [], {}
        self.inputs, self.outputs = {}, {}
        self.field = next(iter(model.fields.values()))

    def __call__(self, op, *inputs, outputs=1, **attributes):
        inputs = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        name = f"{op}.{len(self.nodes)}"
        made = [name] if outputs == 1 else [f"{name}.{k}" for k in range(outputs)]
        self.nodes.append(self.onnx.helper.make_node(op, inputs, made, name, **attributes))
        return name if outputs == 1 else made

    def constant(self, value, name=None):
        """An array of the file; floats become float32, and whole numbers int64 where they have no type."""
        value = np.asarray(value)
        value = value.astype(np.float32) if value.dtype.kind == "f" else value
        name = f"constant.{len(self.arrays)}" if name is None else name
        self.arrays[name] = np.array(value, order="C")  # a number keeps no axes
        return name

    def parameter(self, name, arranged=None):
        """A parameter of the model, one array of the file however often it is used.     arranged: in another order"""
        value, name = self.numbers(name) if arranged is None else arranged, f"theta.{name}"
        if name in self.arrays and not np.array_equal(self.arrays[name], value.astype(np.float32)):
            name = f"{name}.{len(self.arrays)}"  # two layers read it in two orders
        return self.constant(value, name)

    def numbers(self, name):
        """A parameter or a state as an array of the host."""
        model = self.model
        array = model.backend.to_numpy(model.parameters[name] if name in model.parameters else model.state[name])
        if not np.abs(array).max(initial=0) <= np.finfo(np.float32).max:  # nor is a NaN
            raise InputError(
                f"cannot export: {name} has NaN, infinite or too large values; train again from finite ones"
            )
        return array

    def take(self, name, *shape, dtype=np.float32):
        """A tensor that was computed before, or else an input of the graph; shape: without the batch."""
        if name not in self.outputs:
            self.inputs[name] = (np.dtype(dtype), ["batch", *shape])
        return name

    def give(self, name, tensor, *shape, dtype=np.float32):
        """An output of the graph."""
        self.nodes.append(self.onnx.helper.make_node("Identity", [tensor], [name], name))
        self.outputs[name] = (np.dtype(dtype), ["batch", *shape])

    def x(self, prepared=True):
        """The input x, prepared as the data were that the model learned from."""
        shape = ["steps" if n is None else n for n in self.field.shape]
        if isinstance(self.field, Tokens):
            return self.take("x", *shape, dtype=np.int32)
        x, preprocessing = self.take("x", *shape), self.model.preprocessing
        if prepared and preprocessing.scale is not None:
            x = self("Div", x, float(preprocessing.scale))
        if prepared and preprocessing.mean is not None:
            like = [n for n in self.field.shape if n is not None]
            mean, deviation = (a.reshape(like) for a in (preprocessing.mean, preprocessing.deviation))
            high = mean.astype(np.float32)  # two float32 have the digits of a float64: a mean may be large
            x = self("Div", self("Sub", self("Sub", x, high), mean - high), deviation)
        return x

    def apply(self, layer, x):
        if type(layer) not in FORMS:
            raise InputError(
                f"a layer of class {type(layer).__name__} has no ONNX form: give it one in minae.interop.onnx.FORMS"
            )
        return FORMS[type(layer)](self, layer, x)

    def finished(self, name, words):
        """The `onnx.ModelProto`, checked by ONNX's checker.     words: what its metadata says, key -> value for JSON"""
        size = sum(array.nbytes for array in self.arrays.values())
        if size > LARGEST:
            raise InputError(f"the graph takes {size:,} bytes, and an ONNX file has {LARGEST:,} at most: export parts")
        helper, ends = self.onnx.helper, []
        for tensors in (self.inputs, self.outputs):
            kinds = {each: (helper.np_dtype_to_tensor_dtype(dtype), shape) for each, (dtype, shape) in tensors.items()}
            ends.append([helper.make_tensor_value_info(each, *kind) for each, kind in kinds.items()])
        arrays = [self.onnx.numpy_helper.from_array(array, each) for each, array in self.arrays.items()]
        proto = helper.make_model(
            helper.make_graph(self.nodes, name, *ends, arrays),
            opset_imports=[helper.make_operatorsetid("", OPSET)],
            ir_version=IR,
            producer_name="minae",
            producer_version=__version__,
        )
        helper.set_model_props(proto, {key: json.dumps(value) for key, value in words.items()})
        self.onnx.checker.check_model(proto, full_check=True)
        return proto

    # ---- what several forms need

    def cut(self, x, start, stop, axis=-1):
        """x[…, start:stop]"""
        return self("Slice", x, [start], [stop], [axis])

    def places(self, x):
        """0 … T − 1 of x (B, T, …), int32."""
        T = self("Cast", self("Squeeze", self("Shape", x, start=1, end=2)), to=self.onnx.TensorProto.INT32)
        return self("Range", np.int32(0), T, np.int32(1))

    def live(self, x):
        """(B, T) of bool, whether a step is before the length of its sequence; None where there are no sequences."""
        if not self.field.ragged:
            return None
        return self("Less", self.places(x), self("Unsqueeze", self.take("length", dtype=np.int32), [1]))

    def live_steps(self, x):
        """The same, (B, T, 1), 1 and 0."""
        live = self.live(x)
        return live and self.floats(self("Unsqueeze", live, [2]))

    def floats(self, x):
        return self("Cast", x, to=self.onnx.TensorProto.FLOAT)

    def swapped(self, x, *order):
        return self("Transpose", x, perm=order)


# ---- the layers, each beside the formula that its page derives


def affine(g, layer, x):
    W = g.parameter(layer.names[0])
    a = g("MatMul", x, g.swapped(W, 1, 0) if layer.transposed else W)
    return a if layer.b is None else g("Add", a, g.parameter(layer.names[1]))


def activation(g, layer, a):
    name = layer.name
    if name == "identity":
        return a
    if name == "swish":
        return g("Mul", a, g("Sigmoid", a))
    if name == "gelu":
        cube = g("Mul", g("Mul", g("Mul", a, a), a), 0.044715)
        return g("Mul", a, g("Sigmoid", g("Mul", g("Add", a, cube), 1.5957691216057308)))
    op, attributes = ACTIVATIONS[name]
    return g(op, a, **attributes)


ACTIVATIONS = {"sigmoid": ("Sigmoid", {}), "tanh": ("Tanh", {}), "relu": ("Relu", {}), "softplus": ("Softplus", {}),
               "leaky_relu": ("LeakyRelu", {"alpha": 0.01}), "elu": ("Elu", {"alpha": 1.0})}  # fmt: skip


def shrink(g, a, kappa):
    """a − min(max(a, −κ), κ)"""
    return g("Sub", a, g("Min", g("Max", a, g("Neg", kappa)), kappa))


def unrolled(g, layer, x):
    """h ← shrink(a + h S, κ), step by step"""
    W, b, S, kappa = layer.names
    a, kappa = g("Add", g("MatMul", x, g.parameter(W)), g.parameter(b)), g.parameter(kappa)
    h = shrink(g, a, kappa)
    for _ in range(layer.steps - 1):
        h = shrink(g, g("Add", g("MatMul", h, g.parameter(S)), a), kappa)
    return h


def channels_first(g, layer, x):
    """(B, H, W, C) -> (B, C, H, W), as ONNX has images; onnxruntime takes away what is turned twice."""
    axes = len(layer.shape)
    return g.swapped(x, 0, axes, *range(1, axes))


def channels_last(g, layer, x):
    axes = len(layer.shape)
    return g.swapped(x, 0, *range(2, axes + 1), 1)


def windows(layer, **more):
    """The attributes of a window."""
    window = layer.window
    more |= {"dilations": window.dilation} if any(d > 1 for d in window.dilation) else {}
    return dict(kernel_shape=window.kernel, strides=window.stride, pads=window.padding * 2, **more)


def convolution(g, layer, x):
    y = g("Conv", channels_first(g, layer, x), *kernel(g, layer), **windows(layer))
    return channels_last(g, layer, y)


def up_convolution(g, layer, x):
    least = layer.window.space(layer.shape[:-1])
    more = [n - m for n, m in zip(layer.space, least, strict=True)]
    y = g("ConvTranspose", channels_first(g, layer, x), *kernel(g, layer), **windows(layer, output_padding=more))
    return channels_last(g, layer, y)


def kernel(g, layer):
    """W (k_H·k_W·C, O) as (O, C, k_H, k_W), and b."""
    W, b = layer.names
    array = g.numbers(W).reshape(*layer.window.kernel, -1, layer.matrix[1])
    axes = len(layer.window.kernel)
    return g.parameter(W, array.transpose(axes + 1, axes, *range(axes))), g.parameter(b)


def pool(op):
    return lambda g, layer, x: channels_last(g, layer, g(op, channels_first(g, layer, x), **windows(layer)))


def up_sample(g, layer, x):
    scales = np.array([1, *layer.window.stride, 1], np.float32)
    how = dict(mode="nearest", nearest_mode="floor", coordinate_transformation_mode="asymmetric")
    return g("Resize", x, "", scales, **how)


def reshape(g, layer, x):
    return g("Reshape", x, [0, *layer.shape_out])


def normalization(g, layer, x, style=None):
    """y = G x̂ + b over places (B, m, positions) or (B, positions, m), and back in the shape of x."""
    places = g("Reshape", x, [0, layer.m, -1] if layer.channel == 1 else [0, -1, layer.m])
    y = normalized(g, layer, places)
    if style is not None:
        parts = g.cut(style, 0, layer.m), g.cut(style, layer.m, 2 * layer.m)
        G, b = (g("Unsqueeze", part, [layer.position]) for part in parts)
        y = g("Add", g("Mul", y, g("Add", G, 1.0)), b)
    elif layer.names:
        G, b = (g.parameter(name, layer.by_channel(g.numbers(name))) for name in layer.names)
        y = g("Add", g("Mul", y, G), b)
    return g("Reshape", y, g("Shape", x))


def normalized(g, layer, x):
    """x̂ with the means of evaluation: the running ones of `BatchNorm`, else those over the axes of the layer."""
    if isinstance(layer, layers.BatchNorm):
        mean, variance = (layer.by_channel(g.numbers(name).astype(float)) for name in layer.state_names())
        return g("Div", g("Sub", x, mean), np.sqrt(variance + layer.delta))
    axes = list(layer.axes())
    live = g.live_steps(x) if layer.position in axes else None
    if live is None:
        d = g("Sub", x, g("ReduceMean", x, axes))
        variance = g("ReduceMean", g("Mul", d, d), axes)
    else:
        N = g("ReduceSum", live, axes)
        d = g("Mul", g("Sub", x, g("Div", g("ReduceSum", g("Mul", x, live), axes), N)), live)
        variance = g("Div", g("ReduceSum", g("Mul", d, d), axes), N)
    return g("Div", d, g("Sqrt", g("Add", variance, layer.delta)))


def attention(g, layer, x):
    """softmax(Q Kᵀ/√d + mask) V of each head, and the affine map of what the heads say."""
    if len(layer.maps) > 1:
        raise InputError("attention to another sequence has no ONNX form within a network: export what stands below it")
    n, heads, d = layer.n, layer.heads, layer.n // layer.heads
    parts = g("Reshape", g.apply(layer.maps[0], x), [0, 0, 3, heads, d])
    q, k, v = (g("Gather", parts, np.int64(part), axis=2) for part in range(3))  # (B, T, heads, d)
    q, v, k = g.swapped(q, 0, 2, 1, 3), g.swapped(v, 0, 2, 1, 3), g.swapped(k, 0, 2, 3, 1)
    S = g("Mul", g("MatMul", q, k), 1 / np.sqrt(d))
    reads, live = [], g.live(x)
    if layer.causal:
        at = g.places(x)
        reads.append(g("LessOrEqual", g("Unsqueeze", at, [0]), g("Unsqueeze", at, [1])))
    if live is not None:
        reads.append(g("Unsqueeze", live, [1, 2]))
    if reads:
        S = g("Where", g("And", *reads) if len(reads) > 1 else reads[0], S, -np.inf)
    o = g.swapped(g("MatMul", g("Softmax", S, axis=-1), v), 0, 2, 1, 3)
    return g.apply(layer.out, g("Reshape", o, [0, 0, n]))


def recurrent(op, gates, **more):
    """GRU or LSTM; gates: the places that ONNX's gates have among ours."""

    def form(g, layer, x):
        W, U, b, *u = (arranged(g.numbers(name), layer.m) for name in layer.names)
        names = [*layer.names[:2], "+".join(layer.names[2:])]
        biases = np.concatenate([b, *(u or [np.zeros_like(b)])])
        given = [g.parameter(name, array[None]) for name, array in zip(names, (W.T, U.T, biases), strict=True)]
        length = g.take("length", dtype=np.int32) if g.field.ragged else ""
        how = dict(hidden_size=layer.m, direction="reverse" if layer.reverse else "forward", **more)
        y = g(op, g.swapped(x, 1, 0, 2), *given, length, **how)  # (T, 1, B, m)
        return g.swapped(g("Squeeze", y, [1]), 1, 0, 2)

    def arranged(array, m):
        return np.concatenate([array[..., k * m : (k + 1) * m] for k in gates], axis=-1)

    return form


def embedding(g, layer, tokens):
    return g("Gather", g.parameter(layer.names[0]), tokens)


def cells(g, layer, x):
    n, C = layer.numbers, len(layer.categories)
    tokens = g("Add", g("Cast", g.cut(x, n, n + C), to=g.onnx.TensorProto.INT32), layer.first)
    return g("Concat", g("Reshape", embedding(g, layer, tokens), [0, C * layer.n]), g.cut(x, 0, n), axis=1)


def positions(g, layer, x):
    P = g.parameter(layer.names[0]) if layer.names else g.constant(layer.arena.backend.to_numpy(layer.P))
    return g("Add", x, g("Slice", P, [0], g("Shape", x, start=1, end=2), [0]))


def times(g, layer, t):
    angle = g("Mul", t, layer.waves)
    return g("Concat", g("Sin", angle), g("Cos", angle), axis=1)


def end_of_sequence(g, layer, x):
    live = g.live_steps(x)
    return x if live is None else g("Mul", x, live)


def time_mean(g, layer, x):
    live = g.live_steps(x)
    if live is None:
        return g("ReduceMean", x, [1], keepdims=0)
    total = g("ReduceSum", g("Mul", x, live), [1], keepdims=0)
    return g("Div", total, g("ReduceSum", live, [1], keepdims=0))


def network(g, layer, x):
    for each in layer.layers:
        x = g.apply(each, x)
    return x


def side_by_side(g, layer, x):
    return g("Concat", *(g.apply(each, x) for each in layer.layers), axis=-1)


def pointer(g, layer, x):
    raise InputError("a PointerGenerator writes word by word, which is no feed-forward graph: run it with minae")


# ---- the codes


def top_k(g, layer, h):
    value, unit = g("TopK", h, [layer.k], outputs=2, axis=1)
    return g("ScatterElements", g("ConstantOfShape", g("Shape", h)), unit, value, axis=1)


def symbols_of(g, layer, a):
    """One-hot of the most probable kind of each symbol."""
    kinds = g("ArgMax", g("Reshape", a, [0, layer.M, layer.K]), axis=2, keepdims=0)
    one_hot = g("OneHot", kinds, np.int64(layer.K), np.array([0, 1], np.float32), axis=-1)
    return g("Reshape", one_hot, [0, layer.M * layer.K])


def vector_quantized(g, layer, z):
    """e_k of each part, k = argmin_k ‖e_k‖² − 2 z·e_k."""
    E = g.numbers(layer.name if layer.names else f"{layer.name}.e")
    books = E.reshape(layer.books, layer.K, layer.d)
    squares = (books.astype(float) ** 2).sum(axis=2)[:, None]  # (books, 1, K)
    parts = g("Reshape", z, [0, layer.M, 1, layer.d])
    far = g("Sub", squares, g("MatMul", parts, 2 * books.transpose(0, 2, 1)))  # (B, M, 1, K)
    k = g("ArgMin", g("Squeeze", far, [2]), axis=2, keepdims=0)
    rows = g("Add", k, np.arange(layer.M) % layer.books * layer.K)
    return g("Reshape", g("Gather", g.parameter(layer.name, E), rows), [0, layer.M * layer.d])


def above(g, a, threshold):
    """a where it is above the threshold, else 0."""
    return g("Mul", a, g.floats(g("Greater", a, threshold)))


FORMS = {
    layers.Affine: affine,
    layers.Activation: activation,
    layers.Gain: lambda g, layer, x: g("Mul", x, g.parameter(layer.names[0])),
    layers.Shrink: lambda g, layer, a: shrink(g, a, g.parameter(layer.names[0])),
    layers.ChannelsLast: channels_last,
    layers.ChannelsFirst: channels_first,
    layers.Convolution: convolution,
    layers.UpConvolution: up_convolution,
    layers.MaxPool: pool("MaxPool"),
    layers.MeanPool: pool("AveragePool"),
    layers.UpSample: up_sample,
    layers.Reshape: reshape,
    layers.Flatten: reshape,
    layers.BatchNorm: normalization,
    layers.LayerNorm: normalization,
    layers.InstanceNorm: normalization,
    layers.AdaIN: normalization,  # its page gives the style
    layers.Attention: attention,
    layers.GRU: recurrent("GRU", (1, 0, 2), linear_before_reset=1),  # z, r, n of our r, z, n
    layers.LSTM: recurrent("LSTM", (0, 3, 1, 2)),  # i, o, f, g of our i, f, g, o
    layers.Bidirectional: side_by_side,
    layers.Embedding: embedding,
    layers.Cells: cells,
    layers.Positions: positions,
    layers.Times: times,
    layers.TimeMean: time_mean,
    layers.EndOfSequence: end_of_sequence,
    layers.Dropout: lambda g, layer, x: x,
    layers.GradientReversal: lambda g, layer, x: x,
    layers.PointerGenerator: pointer,
    Unrolled: unrolled,
    networks.Network: network,
    networks.Residual: lambda g, layer, x: g("Add", x, network(g, layer, x)),
    networks.Branches: side_by_side,
    codes.Gaussian: lambda g, layer, y: g.cut(y, 0, layer.m),  # z = μ
    codes.NoisyLogits: lambda g, layer, a: g("Sigmoid", a),
    codes.TopK: top_k,
    symbols.Bits: lambda g, layer, a: g.floats(g("Greater", a, 0.0)),
    symbols.Symbols: symbols_of,
    symbols.Rounded: lambda g, layer, z: g("Round", z),
    symbols.VectorQuantized: vector_quantized,
    symbols.JumpReLU: lambda g, layer, a: above(g, a, g.parameter(layer.names[0])),
    symbols.BatchTopK: lambda g, layer, h: above(g, h, g.numbers(layer.name)),
}


# ---- the mean of p(x | h) of each loss


def cells_mean(g, loss, s):
    """The means of the numbers, and the most probable category of each column."""
    best = (g("ArgMax", g.cut(s, part.start, part.stop), axis=1, keepdims=1) for part in loss.parts)
    return g("Concat", g.cut(s, 0, loss.numbers), *(g.floats(k) for k in best), axis=1)


MEANS: dict[Any, Any] = dict.fromkeys(
    (losses.Gaussian, losses.Laplace, losses.Huber, losses.StudentT), lambda g, loss, s: s
)
MEANS |= dict.fromkeys((losses.Hinge, losses.SquaredHinge), lambda g, loss, s: s)  # margins, which have no p
MEANS |= {
    losses.Bernoulli: lambda g, loss, s: g("Sigmoid", s),
    losses.Categorical: lambda g, loss, s: g("Softmax", s, axis=-1),
    losses.TokenLoss: lambda g, loss, s: g("LogSoftmax", s, axis=-1),
    losses.CellLoss: cells_mean,
}
