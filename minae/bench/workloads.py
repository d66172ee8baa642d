"""What is measured: each workload as minae's model, and the same mathematics as PyTorch is given it.

Costs: sum over features, mean over the batch, Adam with lr 1e-3, float32, sigmoid units and Bernoulli loss on the
digits that come with minae, unless said otherwise. `net.f`, `net.g` and `net.loss` of the functions below are PyTorch's
x -> h, h -> s and L(s, x). Names of arguments beside x are those of minae's constants.
"""

import itertools

import numpy as np

from minae.bench.contestant import BETA, CODES, LAM, LEVEL, RHO, ROWS, K
from minae.bench.kinds import (
    Adversarial,
    ConvolutionalTraining,
    Inference,
    Layers,
    Page,
    Pretraining,
    Search,
    Training,
    dense,
    mirrored,
    plain,
)
from minae.layers import GRU
from minae.networks import transformer_block

# ---- PyTorch's side of the training steps: J(net, x, …)


def kl_sparse(net, x):
    h = net.f(x)
    rho_hat = h.mean(0)
    KL = RHO * (RHO / rho_hat).log() + (1 - RHO) * ((1 - RHO) / (1 - rho_hat)).log()
    return net.loss(net.g(h), x) + KL.sum()


def denoising(net, x, x_tilde):
    return net.loss(net.g(net.f(x_tilde)), x)


def masked(net, x):
    import torch

    return {"x_tilde": x * (torch.rand_like(x) >= LEVEL)}


def contractive(net, x):
    h, W = net.f(x), net.layers[0].weight  # W (m, n)
    return net.loss(net.g(h), x) + LAM * ((h * (1 - h)).square() @ W.square().sum(1)).mean()


def jacobian_jacrev(net, x):
    from torch.func import jacrev, vmap

    J = vmap(jacrev(net.f))(x)  # (B, m, n)
    return plain(net, x) + LAM * J.square().sum() / len(x)


def jacobian_loop(net, x):
    from torch.autograd import grad

    x = x.detach().requires_grad_()
    h = net.f(x)
    Omega = sum(grad(h[:, j].sum(), x, create_graph=True)[0].square().sum() for j in range(h.shape[1])) / len(x)
    return net.loss(net.g(h), x) + LAM * Omega


def deep_contractive(net, x):
    hs = net.hidden(x)
    p = [h * (1 - h) for h in hs]
    J = p[-1][:, :, None] * net.layers[-1].weight
    for p_l, layer in zip(p[-2::-1], net.layers[-2::-1], strict=True):
        J = (J * p_l[:, None, :]) @ layer.weight
    return net.loss(net.g(hs[-1]), x) + LAM * J.square().sum() / len(x)


def deep_estimate(net, x, xi):
    from torch.autograd import grad

    x = x.detach().requires_grad_()
    h = net.f(x)
    xi_J = grad(h, x, xi[:, 0], create_graph=True)[0]
    return net.loss(net.g(h), x) + LAM * xi_J.square().sum() / len(x)


def probe(net, x):
    return {"xi": x.new_empty(len(x), 1, net.layers[-1].out_features).normal_()}


def variational(net, x, eps):
    mu, log_var = net.f(x).chunk(2, dim=1)
    z = mu + (0.5 * log_var).exp() * eps
    KL = 0.5 * (mu.square() + log_var.exp() - log_var - 1).sum() / len(x)
    return net.loss(net.g(z), x) + KL


def normal(net, x):
    return {"eps": x.new_empty(len(x), net.layers[-1].out_features // 2).normal_()}


def top_k(net, x):
    h = net.f(x)
    value, index = h.topk(K, dim=1)
    return net.loss(net.g(h.new_zeros(h.shape).scatter(1, index, value)), x)


def vector_quantized(net, x):
    z, E = net.f(x).view(len(x), CODES, -1), net.E.view(CODES, ROWS, -1)
    far = E.square().sum(2)[:, None] - 2 * z.transpose(0, 1) @ E.transpose(1, 2)  # (M, B, K)
    e = E.gather(1, far.argmin(2)[:, :, None].expand(-1, -1, z.shape[2])).transpose(0, 1)
    moved, near = (z.detach() - e).square().sum(), (z - e.detach()).square().sum()
    return net.loss(net.g((z + (e - z).detach()).flatten(1)), x) + (moved + BETA * near) / len(x)


# ---- layers over sequences


def gru(n):
    return [GRU("W1", "U1", "b1", "u1", n, 2 * n)]


def gru_products(w):
    """x W of all steps, h U of each; dg Uᵀ of each, and three gradients over all steps."""
    n, m, B, T = w.width, 2 * w.width, w.batch, w.steps
    step = [("nn", B * T, n, 3 * m, 0), *T * [("nn", B, m, 3 * m, 1)], *T * [("nt", B, 3 * m, m, 1)]]
    return [*step, ("tn", n, B * T, 3 * m, 0), ("tn", m, B * T, 3 * m, 1), ("nt", B * T, 3 * m, n, 0)]


def two_blocks(n):
    return [layer for k in "12" for layer in transformer_block(k, n, 4, 4 * n, causal=True)]


def block_products(w):
    n = w.width
    layers = 2 * [(n, 3 * n), (n, n), (n, 4 * n), (4 * n, n)]
    return [*dense(*layers)(w.batch * w.steps), ("nt", w.batch * w.steps, 3 * n, n, 0)]  # and ∂J/∂x at the first


# ---- pages of models over sequences


def frames(rng, B, T):
    """Log-mel frames of recordings."""
    return {"x": rng.standard_normal((B, T, 32), dtype=np.float32)}


def words(rng, B, T):
    """Texts; half of their words are frequent ones."""
    return {
        "x": np.where(rng.random((B, T)) < 0.5, rng.integers(3, 50, (B, T)), rng.integers(3, 2000, (B, T))).astype(
            np.int32
        )
    }


# ---- the workloads


def chain(sizes, probes=None):
    """`mirrored`, and ‖Jf‖² of a deep encoder with its gradient, see `contraction.Contraction`: B·rows rows go
    through the chain. Where Ω is exact, the top factor is diagonal and costs no product. Of the two ways to
    ‖A W₁ᵀ‖², the cheaper one is taken."""
    rows, (n0, n1) = probes or sizes[-1], sizes[:2]
    above = list(enumerate(itertools.pairwise(sizes)))[1 : None if probes else -1]

    def products(B):
        R = B * rows
        step = mirrored(sizes)(B)
        for k, (n, m) in above:  # C = A Wᵀ;  dW += dCᵀ A;  dA = dC W
            step += [("nt", R, m, n, k), ("tn", n, R, m, k), ("nn", R, n, m, k)]
        direct = [("nt", R, n1, n0, 0), ("tn", n0, R, n1, 0), ("nn", R, n0, n1, 0)]  # A W₁ᵀ, and both gradients
        gram = [("tn", n1, n0, n1, 0), ("nn", R, n1, n1, 0), ("tn", n1, R, n1, 0), ("nn", n0, n1, n1, 0)]  # tr(A G Aᵀ)
        return step + min(direct, gram, key=lambda way: sum(m * k * n for _, m, k, n, _ in way))

    return products


_DEEP = (784, 500, 250, 30)
_GENERIC = {"jacrev": jacobian_jacrev, "loop of grad": jacobian_loop}
_TIED = {"tied": True, "lam": LAM}
_LIST = (
    Training("784-30", (784, 30), 100),
    Training("784-500", (784, 500), 128),
    Training("784-1000-500-250-30", (784, 1000, 500, 250, 30), 128),
    Training("sparse", (784, 2000), 128, kl_sparse, "SparseAutoencoder", {"rho": RHO, "lam": 1.0}, variants=("plain",)),
    Training("denoising", (784, 1000), 128, denoising, "DenoisingAutoencoder", {"level": LEVEL}, masked),
    Training(
        "contractive",
        (784, 500),
        128,
        contractive,
        "ContractiveAutoencoder",
        _TIED,
        generic=_GENERIC,
        variants=("plain",),
    ),
    Training(
        "deep-contractive",
        _DEEP,
        128,
        deep_contractive,
        "ContractiveAutoencoder",
        _TIED,
        generic={"jacrev": jacobian_jacrev},
        products_of=chain(_DEEP),
    ),
    Training(
        "deep-estimate",
        _DEEP,
        128,
        deep_estimate,
        "ContractiveAutoencoder",
        _TIED | {"probes": 1},
        probe,
        products_of=chain(_DEEP, probes=1),
    ),
    Training(
        "variational",
        (784, 500, 20),
        128,
        variational,
        "VariationalAutoencoder",
        {"code": "identity"},
        normal,
        products_of=dense((784, 500), (500, 40), (20, 500), (500, 784)),
    ),
    Training(
        "top-k",
        (784, 8192),
        128,
        top_k,
        "KSparseAutoencoder",
        {"k": K, "tied": True, "code": "identity", "loss": "gaussian"},
        variants=("gradient",),
        products_of=lambda B: [("nn", B, 784, 8192, 0)],  # the rest has to do with k of the units only
    ),
    Training(
        "vector-quantised",
        (784, 400, 64),
        128,
        vector_quantized,
        "VectorQuantizedAutoencoder",
        {"codebook": ROWS, "codes": CODES, "beta": BETA, "decay": None, "code": "identity"},
        products_of=lambda B: [*mirrored((784, 400, 64))(B), *CODES * [("nn", B, 64 // CODES, ROWS, 2)]],
    ),
    ConvolutionalTraining(
        "convolutional",
        (784, 32),
        128,
        options={"image": (1, 28, 28), "channels": (16, 32), "activation": "relu", "code": "identity"},
    ),
    Adversarial("adversarial", (784, 400, 16), 128),
    Pretraining("pretraining", _DEEP, 128, rows=46 * 128),
    Inference("inference", size=144, atoms=256, patches=1000),
    Layers("gru", gru, "gru", gru_products),
    Layers("attention", two_blocks, "blocks", block_products),
    Page("speech", "VoiceAutoencoder", {}, frames, "voice", batch=32, steps=64),
    Page("sequence-to-sequence", "AbstractiveAutoencoder", {"choice": "first", "k": 8}, words, "written", steps=24),
    Search("search", codes=1_000_000, queries=10, k=10),
)
WORKLOADS = {workload.name: workload for workload in _LIST}

# one thing at a time, from the plain step 784-500 at batch 128 on the digits that come with minae
CURVES = {
    "batch": {B: {"batch": B} for B in (16, 64, 256, 1024)},
    "width": {m: {"sizes": (784, m)} for m in (125, 500, 2000)},
    "depth": {d: {"sizes": (784, *[500] * d)} for d in (1, 2, 4, 8)},
    "rows of data": {n: {"rows": n} for n in (1_500, 6_000, 24_000, 96_000)},
}
