"""PyTorch's side: its network, and its steps as a practitioner writes them. Imported only where PyTorch is measured.

The forms of a step:
    eager     fused Adam
    channels-last   the same, images in the memory format of this name
    compiled  torch.compile of the noise, the forward pass and the cost; fused Adam
    graph     on a GPU: the whole step, the optimizer too, captured once as a CUDA graph and replayed
"""

import itertools

import torch
from torch.nn import functional as F

from minae.bench.contestant import LR, SEED, Contestant


class Net(torch.nn.Module):
    """f, g and L of a mirrored network of sigmoids, from minae's initial parameters."""

    def __init__(self, saved, depth, options):
        super().__init__()
        self.linear_code, self.gaussian = options.get("code") == "identity", options.get("loss") == "gaussian"
        self.layers = torch.nn.ModuleList(_linear(saved[f"W{k}"], saved[f"b{k}"]) for k in range(1, depth + 1))
        self.tied = "V1" not in saved
        if "E" in saved:
            self.E = torch.nn.Parameter(torch.tensor(saved["E"]))
        if self.tied:
            self.c = torch.nn.ParameterList(torch.tensor(saved[f"c{k}"]) for k in range(1, depth + 1))
        else:
            self.back = torch.nn.ModuleList(_linear(saved[f"V{k}"], saved[f"c{k}"]) for k in range(1, depth + 1))

    def hidden(self, x):
        hs = []
        for layer in self.layers:
            x = layer(x)
            x = x if self.linear_code and layer is self.layers[-1] else x.sigmoid()
            hs.append(x)
        return hs

    def f(self, x):
        return self.hidden(x)[-1]

    def g(self, h):
        depth = len(self.layers)
        for k in range(depth):
            h = F.linear(h, self.layers[depth - 1 - k].weight.t(), self.c[k]) if self.tied else self.back[k](h)
            h = h if k == depth - 1 else h.sigmoid()
        return h

    def loss(self, s, x):
        if self.gaussian:
            return 0.5 * (s - x).square().sum() / len(x)
        return F.binary_cross_entropy_with_logits(s, x, reduction="sum") / len(x)


def _linear(W, b):
    layer = torch.nn.Linear(*W.shape)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(W.T))
        layer.bias.copy_(torch.from_numpy(b))
    return layer


class ConvolutionalNet(Net):
    """f and g of minae's convolutional autoencoder; PyTorch's images are (B, C, H, W)."""

    def __init__(self, saved, depth, options):
        torch.nn.Module.__init__(self)
        self.gaussian = False
        m = saved["W1"].shape[1]
        turned = saved | {  # the numbers of a row, from (H, W, C) to (C, H, W)
            "W1": saved["W1"].reshape(49, 32, m).swapaxes(0, 1).reshape(-1, m),
            "V1": saved["V1"].reshape(m, 49, 32).swapaxes(1, 2).reshape(m, -1),
            "c1": saved["c1"].reshape(49, 32).T.reshape(-1),
        }
        self.code, self.back = _linear(turned["W1"], turned["b1"]), _linear(turned["V1"], turned["c1"])
        self.first = _windows(torch.nn.Conv2d(1, 16, 3, 2, 1), saved["K1"], saved["k1"])
        self.second = _windows(torch.nn.Conv2d(16, 32, 3, 2, 1), saved["K2"], saved["k2"])
        self.third = _windows(torch.nn.ConvTranspose2d(32, 16, 4, 2, 1), saved["U1"], saved["u1"])
        self.fourth = _windows(torch.nn.ConvTranspose2d(16, 1, 4, 2, 1), saved["U2"], saved["u2"])

    def f(self, x):
        return self.code(self.second(self.first(x.view(-1, 1, 28, 28)).relu()).relu().flatten(1))

    def g(self, h):
        return self.fourth(self.third(self.back(h).relu().view(-1, 32, 7, 7)).relu()).flatten(1)


def _windows(layer, W, b):
    """minae's W (k_H·k_W·C, O) as PyTorch's (O, C, k_H, k_W), which is the same for both kinds of layers."""
    channels_out, C, *kernel = layer.weight.shape
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(W.reshape(*kernel, C, channels_out).transpose(3, 2, 0, 1)))
        layer.bias.copy_(torch.from_numpy(b))
    return layer


def _index(batch, device):
    """On the device, without waiting for it."""
    index = torch.from_numpy(batch)
    return index if device.type == "cpu" else index.pin_memory().to(device, non_blocking=True)


def training(workload, env, J, form, adam=True):
    device, saved = _device(env), env.load(workload.name)
    X = torch.from_numpy(env.X(workload.sizes[0])).to(device)
    kind = ConvolutionalNet if "channels" in workload.options else Net
    net = kind(saved, len(workload.sizes) - 1, workload.options).to(device)
    if form == "channels-last":
        net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), lr=LR, fused=True, capturable=form == "graph")
    parameters, batches, count = list(net.parameters()), env.batches(workload.batch), itertools.count()

    def drawn(net, x):
        return J(net, x, **(workload.torch_noise(net, x) if workload.torch_noise else {}))

    given, drawn = _compiled(J, form), _compiled(drawn, form)

    def update(L):
        L.backward(inputs=parameters)
        if adam:
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return L

    def step():
        x, k = X[_index(next(batches), device)], next(count)
        if workload.torch_noise is None or k >= workload.first:
            return update(drawn(net, x))
        names = [key.split() for key in saved if key.endswith(f" {k}")]
        return update(given(net, x, **{name: torch.from_numpy(saved[f"{name} {k}"]).to(device) for name, _ in names}))

    if form == "graph":
        step = _training_graph(step, lambda x: update(drawn(net, x)), X, batches, workload)
    return Contestant(step, lambda L: [float(L.detach())], _synchronize(env))


def _training_graph(step, captured, X, batches, workload):
    """The first steps on a side stream, as a capture wants it; then the whole step once captured, and replayed."""
    side, graph, x, count = torch.cuda.Stream(), torch.cuda.CUDAGraph(), None, itertools.count()

    def replay():
        nonlocal x, L
        if next(count) < workload.first:
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                L = step()
            torch.cuda.current_stream().wait_stream(side)
            return L
        if x is None:
            torch.cuda.synchronize()
            x = X[: workload.batch].clone()
            with torch.cuda.graph(graph):
                L = captured(x)
        torch.index_select(X, 0, _index(next(batches), X.device), out=x)
        graph.replay()
        return L

    L = None
    return replay


def adversarial(workload, env, form):
    """The three turns. The discriminator's parameters need no gradient in the turn of the generator."""
    device, saved = _device(env), env.load(workload.name)
    X = torch.from_numpy(env.X(workload.sizes[0])).to(device)
    net = Net(saved, len(workload.sizes) - 1, {"code": "identity"}).to(device)
    d = torch.nn.Sequential(_linear(saved["D1"], saved["e1"]), torch.nn.Sigmoid(), _linear(saved["D2"], saved["e2"]))
    d = d.to(device)
    players = {"R": list(net.parameters()), "D": list(d.parameters()), "G": list(net.layers.parameters())}
    optimizers = {turn: torch.optim.Adam(own, lr=LR, fused=True) for turn, own in players.items()}
    batches, count = env.batches(workload.batch), itertools.count()

    def L(x, z):
        return net.loss(net.g(net.f(x)), x)

    def L_D(x, z):
        with torch.no_grad():
            h = net.f(x)
        return F.softplus(-d(z)).mean() + F.softplus(d(h)).mean()

    def L_G(x, z):
        return F.softplus(-d(net.f(x))).mean()

    turns = {"R": L, "D": L_D, "G": L_G}
    costs = {turn: torch.compile(J, dynamic=False) if form == "compiled" else J for turn, J in turns.items()}

    def step():
        x, k = X[_index(next(batches), device)], next(count)
        z = (
            torch.from_numpy(saved[f"z {k}"]).to(device)
            if k < workload.first
            else torch.randn(len(x), workload.sizes[-1], device=device)
        )
        values = []
        for turn, cost in costs.items():
            for parameter in d.parameters():
                parameter.requires_grad_(turn == "D")
            value = cost(x, z)
            value.backward(inputs=players[turn])
            optimizers[turn].step()
            optimizers[turn].zero_grad(set_to_none=True)
            values.append(value.detach())
        return values

    return Contestant(step, lambda values: [float(value) for value in values], _synchronize(env))


def pretraining(workload, env, J, form):
    device, saved = _device(env), env.load(workload.name)
    X, batch = torch.from_numpy(env.X(workload.sizes[0])[: workload.rows]).to(device), workload.batch
    J = _compiled(J, form)

    def step():
        h, costs = X, []
        for k in range(len(workload.sizes) - 1):
            net = Net({key: saved[f"{k} {key}"] for key in ("W1", "b1", "V1", "c1")}, 1, {}).to(device)
            optimizer = torch.optim.Adam(net.parameters(), lr=LR, fused=True)
            order, total = torch.from_numpy(saved[f"{k} order"]).to(device), 0.0
            for index in order.split(batch):
                L = J(net, h[index])
                L.backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                total = total + L.detach()
            costs.append(total * batch / workload.rows)
            with torch.no_grad():
                h = net.f(h)
        return costs

    return Contestant(step, lambda costs: [float(L) for L in costs], _synchronize(env))


class Block(torch.nn.Module):
    """One block of causal attention, of 4 heads, as `minae.networks.transformer_block` builds it."""

    def __init__(self, theta, k):
        super().__init__()
        self.qkv, self.out = _linear(theta[f"W{k}"], theta[f"b{k}"]), _linear(theta[f"V{k}"], theta[f"c{k}"])
        self.up, self.down = _linear(theta[f"W{k}b"], theta[f"b{k}b"]), _linear(theta[f"V{k}b"], theta[f"c{k}b"])
        n = self.out.out_features
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(n) for _ in range(2))  # of 1 and 0, as in minae

    def forward(self, x):
        B, T, n = x.shape
        q, k, v = self.qkv(self.norms[0](x)).view(B, T, 3, 4, n // 4).permute(2, 0, 3, 1, 4)
        o = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(o.transpose(1, 2).reshape(B, T, n))
        return x + self.down(self.up(self.norms[1](x)).relu())


def blocks(theta):
    return torch.nn.Sequential(*(Block(theta, k) for k in "12"))


class gru(torch.nn.Module):
    def __init__(self, theta):
        super().__init__()
        n, m = theta["W1"].shape[0], theta["U1"].shape[0]
        self.gru = torch.nn.GRU(n, m, batch_first=True)
        names = {"W1": "weight_ih_l0", "U1": "weight_hh_l0", "b1": "bias_ih_l0", "u1": "bias_hh_l0"}
        with torch.no_grad():
            for ours, name in names.items():
                getattr(self.gru, name).copy_(torch.from_numpy(theta[ours].T))

    def forward(self, x):
        return self.gru(x)[0]


def layers(workload, env, form):
    device, data = _device(env), env.load(workload.name)
    theta = {key.removeprefix("theta "): array for key, array in data.items() if key.startswith("theta ")}
    net = globals()[workload.module](theta).to(device)
    x, r = (torch.from_numpy(data[key]).to(device) for key in ("x", "r"))
    x, parameters = x.requires_grad_(), list(net.parameters())
    J = _compiled(lambda x: 0.5 * (net(x) - r).square().sum() / len(x), form)

    def step():
        for array in (x, *parameters):
            array.grad = None
        L = J(x)
        L.backward()
        return L

    def read(L):
        squares = sum(float(p.grad.square().sum()) for p in parameters)
        return [float(L.detach()), float(x.grad.square().sum()) ** 0.5, squares**0.5]

    return Contestant(step, read, _synchronize(env))


def _gru(theta, names, back=()):
    """A GRU of minae's parameters, in both directions where `back` names those of the way back."""
    W, U = (theta[name] for name in names[:2])
    layer = torch.nn.GRU(len(W), len(U), batch_first=True, bidirectional=bool(back))
    ways = {"": names, "_reverse": back}
    with torch.no_grad():
        for way, own in ways.items():
            for name, its in zip(own, ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"), strict=bool(own)):
                getattr(layer, its + way).copy_(torch.from_numpy(theta[name].T))
    return layer


class PointerGenerator(torch.nn.Module):
    """log p of the tokens y, read from x; see `minae.layers.pointer`."""

    def __init__(self, theta, k):
        super().__init__()
        self.E, self.c = (torch.nn.Parameter(torch.from_numpy(theta[name + k])) for name in "Ec")
        there, back, writes = ([f"{letter}{k}{of}" for letter in "WUbu"] for of in ("", "r", "y"))
        self.reads, self.writes = _gru(theta, there, back), _gru(theta, writes)
        self.query, self.out = _linear(theta["Q" + k], theta["q" + k]), _linear(theta["O" + k], theta["o" + k])
        self.copies = _linear(theta["v" + k], theta["d" + k])

    def forward(self, x, y):
        H, _ = self.reads(F.embedding(x, self.E))
        before = F.embedding(F.pad(y[:, :-1], (1, 0)), self.E)
        z, _ = self.writes(before, H.mean(1)[None])
        alpha = (self.query(z) @ H.transpose(1, 2) / z.shape[2] ** 0.5).softmax(2)
        o = self.out(torch.cat([z, alpha @ H], 2)).tanh()
        log_pi = F.log_softmax(F.linear(o, self.E, self.c), 2).gather(2, y[:, :, None])[:, :, 0]
        kappa = (alpha * (x[:, None] == y[:, :, None])).sum(2)
        gamma = self.copies(o).sigmoid()[:, :, 0]
        return ((1 - gamma) * log_pi.exp() + gamma * kappa).log()


class written(torch.nn.Module):
    """The first k − 1 words of x and ‹end›, written from x, and x told from them."""

    def __init__(self, theta, options):
        super().__init__()
        self.w, self.R, self.k = PointerGenerator(theta, "w"), PointerGenerator(theta, "R"), options["k"]

    def forward(self, x):
        y = F.pad(x[:, : self.k - 1], (0, 1))
        return -self.R(y, x).mean() - self.w(x, y).sum(1).mean()


class voice(torch.nn.Module):
    """Content with instance normalisation, speaker, and a decoder with two AdaIN; see `minae.models.voice`."""

    def __init__(self, theta, options):
        super().__init__()
        around = 2
        for k in ("W1", "W2", "E1", "V1", "V2", "V3"):
            W = theta[k].reshape(2 * around + 1, -1, theta[k].shape[1])  # frames, channels in, channels out
            layer = torch.nn.Conv1d(W.shape[1], W.shape[2], len(W), padding=around)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(W.transpose(2, 1, 0)))
                layer.bias.copy_(torch.from_numpy(theta[k.lower()]))
            self.add_module(k, layer)
        self.E2, self.S = _linear(theta["E2"], theta["e2"]), _linear(theta["S"], theta["s"])

    def forward(self, x):
        a = x.transpose(1, 2)  # (B, n, T), as PyTorch has it
        c = F.instance_norm(self.W2(F.instance_norm(self.W1(a)).relu()))
        v = self.E2(self.E1(a).relu().mean(2))
        G1, b1, G2, b2 = (style[:, :, None] for style in self.S(v).chunk(4, 1))
        r = F.instance_norm(self.V1(c)) * (1 + G1) + b1
        r = F.instance_norm(self.V2(r.relu())) * (1 + G2) + b2
        return 0.5 * (self.V3(r.relu()) - a).square().sum() / len(x)


def page(workload, env, form):
    device, data = _device(env), env.load(workload.name)
    theta = {key.removeprefix("theta "): array for key, array in data.items() if key.startswith("theta ")}
    net = globals()[workload.module](theta, workload.options).to(device)
    given = [torch.from_numpy(array).to(device) for key, array in data.items() if not key.startswith("theta ")]
    given = [array.long() if array.dtype == torch.int32 else array for array in given]
    J, parameters = _compiled(net, form), list(net.parameters())

    def step():
        for parameter in parameters:
            parameter.grad = None
        L = J(*given)
        L.backward()
        return L

    def read(L):
        return [float(L.detach()), sum(float(p.grad.square().sum()) for p in parameters) ** 0.5]

    return Contestant(step, read, _synchronize(env))


def inference(workload, env, form):
    """FISTA with the restart of `minae.inference`, the same constant and the same number of steps."""
    device, data = _device(env), env.load(workload.name)
    V, x = torch.from_numpy(data["V"]).to(device), torch.from_numpy(data["x"]).to(device)
    lipschitz, steps, lam = float(data["lipschitz"]), int(data["steps"]), workload.lam
    S = torch.eye(len(V), device=device) - V @ V.t() / lipschitz

    def move(y, h, t, q):
        new = F.softshrink(torch.addmm(q, y, S), lam / lipschitz)
        d = new - h
        t = torch.where(((y - new) * d).sum(1, keepdim=True) > 0, 1.0, t)
        after = 0.5 * (1 + (1 + 4 * t * t).sqrt())
        return new + (t - 1) / after * d, new, after

    move = _compiled(move, form)

    @torch.no_grad()
    def fista():
        q = x @ V.t() / lipschitz
        y = h = torch.zeros_like(q)
        t = torch.ones_like(h[:, :1])
        for _ in range(steps):
            y, h, t = move(y, h, t, q)
        return h

    def energy(h):
        return [float((0.5 * (x - h @ V).square().sum(1) + lam * h.abs().sum(1)).mean())]

    return Contestant(_graph(fista) if form == "graph" else fista, energy, _synchronize(env))


def search(workload, env, form):
    """By a lookup table of popcounts, 16 bits at a time; or by the products of ±1, d = (64 − u·v)/2."""
    device, data = _device(env), env.load(workload.name)
    if form == "matmul":

        def signs(codes):
            bits = torch.from_numpy(codes).to(device)[:, :, None] >> torch.arange(8, device=device) & 1
            return bits.reshape(len(codes), 64).float() * 2 - 1

        C, Q = signs(data["codes"]), signs(data["queries"])

        def distances(i):
            return (64 - C @ Q[i]) * 0.5

    else:
        table = torch.tensor([word.bit_count() for word in range(1 << 16)], dtype=torch.uint8, device=device)
        C, Q = (torch.from_numpy(data[key].view("int64")[:, 0]).to(device) for key in ("codes", "queries"))

        def distances(i):
            parts = ((C ^ Q[i]).view(torch.int16).int() & 0xFFFF).view(-1, 4)
            return table[parts].sum(1, dtype=torch.int32)

    distances = _compiled(distances, form.rpartition(" ")[2])

    @torch.no_grad()
    def step():
        return torch.stack([distances(i).topk(workload.k, largest=False).values for i in range(len(Q))])

    return Contestant(step, lambda d: [float(d.sum())], _synchronize(env))


def _compiled(function, form):
    return torch.compile(function, dynamic=False) if form == "compiled" else function


def _graph(function):
    """`function` without arguments, captured and replayed."""
    side, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    with torch.cuda.stream(side):
        function()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        y = function()

    def replay():
        graph.replay()
        return y

    return replay


def _device(env):
    torch.set_num_threads(env.threads)
    torch.manual_seed(SEED)
    return torch.device("cuda" if env.backend == "cupy" else "cpu")


def _synchronize(env):
    return torch.cuda.synchronize if env.backend == "cupy" else lambda: None
