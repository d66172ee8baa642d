"""JAX's side: a training step as one jitted function whose buffers are donated. Imported only where JAX is measured.

The step takes the rows, draws the noise, differentiates J and applies Adam; θ and Adam's two vectors are written over.
J is found by the name that it has in `workloads`, where PyTorch's side is. It starts from minae's parameters, and its
first steps are given minae's noise.

Where JAX offers several ways, the fastest one on the CPU was kept: images are (B, H, W, C), the gradient of an
up-convolution is written out (see `up_convolve`), and a GRU's scan is not unrolled.
"""

import itertools
import os

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from minae.bench.contestant import BETA, CODES, LAM, LEVEL, LR, RHO, ROWS, SEED, Contestant, K


class Net:
    """f, g and L of a mirrored network of sigmoids; `theta` is a dict of minae's arrays."""

    def __init__(self, theta, depth, options):
        self.theta, self.depth = theta, depth
        self.linear_code, self.gaussian = options.get("code") == "identity", options.get("loss") == "gaussian"

    def hidden(self, x):
        hs = []
        for k in range(1, self.depth + 1):
            x = x @ self.theta[f"W{k}"] + self.theta[f"b{k}"]
            x = x if self.linear_code and k == self.depth else jax.nn.sigmoid(x)
            hs.append(x)
        return hs

    def f(self, x):
        return self.hidden(x)[-1]

    def g(self, h):
        for k in range(1, self.depth + 1):
            V = self.theta[f"V{k}"] if "V1" in self.theta else self.theta[f"W{self.depth + 1 - k}"].T
            h = h @ V + self.theta[f"c{k}"]
            h = h if k == self.depth else jax.nn.sigmoid(h)
        return h

    def loss(self, s, x):
        if self.gaussian:
            return 0.5 * jnp.square(s - x).sum() / len(x)
        return (jax.nn.softplus(s) - x * s).sum() / len(x)


class ConvolutionalNet(Net):
    """f and g of minae's convolutional autoencoder. minae's rows of numbers lie in the order (H, W, C) too."""

    def f(self, x):
        theta = self.theta
        x = jax.nn.relu(convolve(x.reshape(-1, 28, 28, 1), theta["K1"].reshape(3, 3, 1, 16)) + theta["k1"])
        x = jax.nn.relu(convolve(x, theta["K2"].reshape(3, 3, 16, 32)) + theta["k2"])
        return x.reshape(len(x), -1) @ theta["W1"] + theta["b1"]

    def g(self, h):
        theta = self.theta
        s = jax.nn.relu(h @ theta["V1"] + theta["c1"]).reshape(-1, 7, 7, 32)
        s = jax.nn.relu(up_convolve(s, theta["U1"].reshape(4, 4, 16, 32)) + theta["u1"])
        s = up_convolve(s, theta["U2"].reshape(4, 4, 1, 16)) + theta["u2"]
        return s.reshape(len(s), -1)


IMAGES = ("NHWC", "HWIO", "NHWC")


def convolve(x, W):
    """Of stride 2 and padding 1.     W: (k_H, k_W, C, O)"""
    return lax.conv_general_dilated(x, W, (2, 2), ((1, 1), (1, 1)), dimension_numbers=IMAGES)


@jax.custom_vjp
def up_convolve(y, W):
    """The transpose of `convolve` with a 4 × 4 kernel.     W: (4, 4, C, O), of the convolution from C to O channels

    Its gradient is written out, since the one that JAX derives is a convolution with two dilations, for which XLA has
    no fast code on the CPU: with it the step takes 2.5 times as long.
    """
    return lax.conv_transpose(y, W, (2, 2), "SAME", dimension_numbers=IMAGES, transpose_kernel=True)


def up_convolve_forward(y, W):
    return up_convolve(y, W), (y, W)


def up_convolve_backward(cache, dx):
    """⟨dx, up_convolve(y, W)⟩ = ⟨convolve(dx, W), y⟩, so that dy and dW are those of `convolve` at dx."""
    y, W = cache
    dy, back = jax.vjp(lambda W: convolve(dx, W), W)
    (dW,) = back(y)
    return dy, dW


up_convolve.defvjp(up_convolve_forward, up_convolve_backward)


# ---- J(net, x, …), by the names of `workloads`


def plain(net, x):
    return net.loss(net.g(net.f(x)), x)


def kl_sparse(net, x):
    h = net.f(x)
    rho_hat, log = h.mean(0), jnp.log
    KL = RHO * log(RHO / rho_hat) + (1 - RHO) * log((1 - RHO) / (1 - rho_hat))
    return net.loss(net.g(h), x) + KL.sum()


def denoising(net, x, x_tilde):
    return net.loss(net.g(net.f(x_tilde)), x)


def contractive(net, x):
    h, W = net.f(x), net.theta["W1"]
    return net.loss(net.g(h), x) + LAM * (jnp.square(h * (1 - h)) @ jnp.square(W).sum(0)).mean()


def deep_contractive(net, x):
    hs = net.hidden(x)
    p, W = [h * (1 - h) for h in hs], [net.theta[f"W{k}"] for k in range(1, net.depth + 1)]
    J = p[-1][:, :, None] * W[-1].T
    for p_l, W_l in zip(p[-2::-1], W[-2::-1], strict=True):
        J = (J * p_l[:, None, :]) @ W_l.T
    return net.loss(net.g(hs[-1]), x) + LAM * jnp.square(J).sum() / len(x)


def deep_estimate(net, x, xi):
    h, back = jax.vjp(net.f, x)
    (xi_J,) = back(xi[:, 0])
    return net.loss(net.g(h), x) + LAM * jnp.square(xi_J).sum() / len(x)


def variational(net, x, eps):
    mu, log_var = jnp.split(net.f(x), 2, axis=1)
    z = mu + jnp.exp(0.5 * log_var) * eps
    KL = 0.5 * (jnp.square(mu) + jnp.exp(log_var) - log_var - 1).sum() / len(x)
    return net.loss(net.g(z), x) + KL


def top_k(net, x):
    h = net.f(x)
    value, index = lax.top_k(h, K)
    rows = jnp.arange(len(h))[:, None]
    return net.loss(net.g(jnp.zeros_like(h).at[rows, index].set(value)), x)


def vector_quantized(net, x):
    z, E = net.f(x).reshape(len(x), CODES, -1), net.theta["E"].reshape(CODES, ROWS, -1)
    far = jnp.square(E).sum(2)[:, None] - 2 * z.swapaxes(0, 1) @ E.swapaxes(1, 2)  # (M, B, K)
    e = jnp.take_along_axis(E, far.argmin(2)[:, :, None], axis=1).swapaxes(0, 1)
    stop = lax.stop_gradient
    moved, near = jnp.square(stop(z) - e).sum(), jnp.square(z - stop(e)).sum()
    return net.loss(net.g((z + stop(e - z)).reshape(len(x), -1)), x) + (moved + BETA * near) / len(x)


COSTS = {J.__name__: J for J in (plain, kl_sparse, denoising, contractive, deep_contractive, deep_estimate)}
COSTS |= {J.__name__: J for J in (variational, top_k, vector_quantized)}
NOISE = {  # JAX's own draw: (key, x, width of the code)
    "denoising": lambda key, x, m: {"x_tilde": x * (jax.random.uniform(key, x.shape) >= LEVEL)},
    "deep_estimate": lambda key, x, m: {"xi": jax.random.normal(key, (len(x), 1, m))},
    "variational": lambda key, x, m: {"eps": jax.random.normal(key, (len(x), m))},
}


# ---- the three turns of the game, J(net, x, z)


def d(net, h):
    """d(h), the discriminator's logits."""
    return jax.nn.sigmoid(h @ net.theta["D1"] + net.theta["e1"]) @ net.theta["D2"] + net.theta["e2"]


def L(net, x, z):
    return plain(net, x)


def L_D(net, x, z):
    return jax.nn.softplus(-d(net, z)).mean() + jax.nn.softplus(d(net, net.f(x))).mean()


def L_G(net, x, z):
    return jax.nn.softplus(-d(net, net.f(x))).mean()


TURNS = {"R": (L, "WbVc"), "D": (L_D, "De"), "G": (L_G, "Wb")}  # turn -> its cost, first letters of what it moves


# ---- layers over sequences x (B, T, n)


def gru(theta, x, k="1", h=None, reverse=False):
    """The input's logits are one product of all steps; the scan has the state's.     k: of the parameters' names"""
    a = x @ theta[f"W{k}"] + theta[f"b{k}"]  # (B, T, 3m)

    def step(h, a):
        a_r, a_z, a_n = jnp.split(a, 3, axis=1)
        g_r, g_z, g_n = jnp.split(h @ theta[f"U{k}"] + theta[f"u{k}"], 3, axis=1)
        r, z = jax.nn.sigmoid(a_r + g_r), jax.nn.sigmoid(a_z + g_z)
        h = (1 - z) * jnp.tanh(a_n + r * g_n) + z * h
        return h, h

    h = jnp.zeros((len(x), len(theta[f"U{k}"])), x.dtype) if h is None else h
    return lax.scan(step, h, a.swapaxes(0, 1), reverse=reverse)[1].swapaxes(0, 1)


def norm(x, G, g):
    difference = x - x.mean(-1, keepdims=True)
    return G * difference * lax.rsqrt(jnp.square(difference).mean(-1, keepdims=True) + 1e-5) + g


def blocks(theta, x):
    """Two blocks of causal attention, of 4 heads, as `minae.networks.transformer_block` builds them."""
    B, T, n = x.shape
    for k in "12":
        qkv = norm(x, theta[f"G{k}a"], theta[f"g{k}a"]) @ theta[f"W{k}"] + theta[f"b{k}"]
        q, key, v = jnp.moveaxis(qkv.reshape(B, T, 3, 4, n // 4), 2, 0)
        o = jax.nn.dot_product_attention(q, key, v, is_causal=True).reshape(B, T, n)
        x = x + o @ theta[f"V{k}"] + theta[f"c{k}"]
        h = jax.nn.relu(norm(x, theta[f"G{k}b"], theta[f"g{k}b"]) @ theta[f"W{k}b"] + theta[f"b{k}b"])
        x = x + h @ theta[f"V{k}b"] + theta[f"c{k}b"]
    return x


# ---- the steps


def training(workload, env, adam=True):
    _set_threads(env)
    saved, name, depth = env.load(workload.name), workload.J.__name__, len(workload.sizes) - 1
    J, X, m = COSTS[name], jax.device_put(env.X(workload.sizes[0])), workload.sizes[-1]
    kind, theta = ConvolutionalNet if "channels" in workload.options else Net, _theta(saved)
    batches, count = env.batches(workload.batch), itertools.count()

    def update(state, index, step, noise):
        theta, moments = state
        x = X[index]
        if noise is None and name in NOISE:
            noise = NOISE[name](_key(step), x, m)

        def of_theta(theta):
            return J(kind(theta, depth, workload.options), x, **(noise or {}))

        cost, dtheta = jax.value_and_grad(of_theta)(theta)
        if not adam:
            return (theta, (dtheta, moments[1])), cost  # the gradient is wanted
        return _adam(theta, moments, dtheta, step + 1), cost

    update = jax.jit(update, donate_argnums=0)
    state = (theta, _zeros(theta))

    def step():
        nonlocal state
        k = next(count)
        given = {key.split()[0]: saved[key] for key in saved if key.endswith(f" {k}")} if k < workload.first else {}
        state, cost = update(state, next(batches), np.float32(k), given or None)
        return cost

    return Contestant(step, lambda cost: [float(cost)], lambda: jax.block_until_ready(state))


def adversarial(workload, env):
    """The three turns in one jitted function, each with an Adam of its own. A turn differentiates its cost by the
    parameters that it moves, and by no others."""
    _set_threads(env)
    saved, depth, m = env.load(workload.name), len(workload.sizes) - 1, workload.sizes[-1]
    theta, X = _theta(saved), jax.device_put(env.X(workload.sizes[0]))
    batches, count = env.batches(workload.batch), itertools.count()

    def moved(theta, letters):
        return {name: array for name, array in theta.items() if name[0] in letters}

    def of_player(player, J, theta, x, z):
        return J(Net(theta | player, depth, {"code": "identity"}), x, z)

    def update(state, index, step, z):
        theta, before = state
        x, moments, costs = X[index], {}, []
        if z is None:
            z = jax.random.normal(_key(step), (len(x), m))
        for turn, (J, letters) in TURNS.items():
            player = moved(theta, letters)
            cost, dplayer = jax.value_and_grad(of_player)(player, J, theta, x, z)
            player, moments[turn] = _adam(player, before[turn], dplayer, step + 1)
            theta = theta | player
            costs.append(cost)
        return (theta, moments), costs

    update = jax.jit(update, donate_argnums=0)
    state = (theta, {turn: _zeros(moved(theta, letters)) for turn, (_, letters) in TURNS.items()})

    def step():
        nonlocal state
        k = next(count)
        z = saved[f"z {k}"] if k < workload.first else None
        state, costs = update(state, next(batches), np.float32(k), z)
        return costs

    return Contestant(step, lambda costs: [float(cost) for cost in costs], lambda: jax.block_until_ready(state))


def pretraining(workload, env):
    """The epoch of a layer is one jitted function, a scan over its batches."""
    _set_threads(env)
    saved, batch = env.load(workload.name), workload.batch
    X = jax.device_put(env.X(workload.sizes[0])[: workload.rows])

    def epoch(theta, x, order):
        def update(state, part):
            index, step = part
            theta, moments = state
            cost, dtheta = jax.value_and_grad(lambda theta: plain(Net(theta, 1, {}), x[index]))(theta)
            return _adam(theta, moments, dtheta, step + 1), cost

        parts = order.reshape(-1, batch), jnp.arange(len(order) // batch, dtype=x.dtype)
        (theta, _), costs = lax.scan(update, (theta, _zeros(theta)), parts)
        return Net(theta, 1, {}).f(x), costs.mean()

    epoch = jax.jit(epoch)

    def step():
        h, costs = X, []
        for k in range(len(workload.sizes) - 1):
            theta = {key: saved[f"{k} {key}"] for key in ("W1", "b1", "V1", "c1")}
            h, cost = epoch(theta, h, saved[f"{k} order"])
            costs.append(cost)
        return costs

    return Contestant(lambda: jax.block_until_ready(step()), lambda costs: [float(cost) for cost in costs])


def layers(workload, env):
    """θ and x stay as they are, so that no buffer is written over."""
    _set_threads(env)
    data, module = env.load(workload.name), globals()[workload.module]
    theta = {key.removeprefix("theta "): jax.device_put(data[key]) for key in data if key.startswith("theta ")}
    x, r = jax.device_put(data["x"]), jax.device_put(data["r"])

    def J(theta, x):
        return 0.5 * jnp.square(module(theta, x) - r).sum() / len(x)

    gradient = jax.jit(jax.value_and_grad(J, argnums=(0, 1)))

    def read(result):
        cost, (dtheta, dx) = result
        squares = sum(float(jnp.square(array).sum()) for array in dtheta.values())
        return [float(cost), float(jnp.square(dx).sum()) ** 0.5, squares**0.5]

    return Contestant(lambda: jax.block_until_ready(gradient(theta, x)), read)


def pointer_generator(theta, k, x, y):
    """log p of the tokens y, read from x; see `minae.layers.pointer`."""

    def affine(letter, a):
        return a @ theta[letter + k] + theta[letter.lower() + k]

    E = theta["E" + k]
    H = jnp.concatenate([gru(theta, E[x], k), gru(theta, E[x], k + "r", reverse=True)], 2)
    before = jnp.pad(y[:, :-1], ((0, 0), (1, 0)))
    z = gru(theta, E[before], k + "y", H.mean(1))
    alpha = jax.nn.softmax(affine("Q", z) @ H.swapaxes(1, 2) / np.sqrt(z.shape[2]), 2)
    o = jnp.tanh(affine("O", jnp.concatenate([z, alpha @ H], 2)))
    log_pi = jnp.take_along_axis(jax.nn.log_softmax(o @ E.T + theta["c" + k], 2), y[:, :, None], 2)[:, :, 0]
    kappa = (alpha * (x[:, None] == y[:, :, None])).sum(2)
    gamma = jax.nn.sigmoid(o @ theta["v" + k] + theta["d" + k])[:, :, 0]
    return jnp.log((1 - gamma) * jnp.exp(log_pi) + gamma * kappa)


def written(theta, options, x):
    """The first k − 1 words of x and ‹end›, written from x, and x told from them."""
    y = jnp.pad(x[:, : options["k"] - 1], ((0, 0), (0, 1)))
    return -pointer_generator(theta, "R", y, x).mean() - pointer_generator(theta, "w", x, y).sum(1).mean()


def voice(theta, options, x):
    """Content with instance normalisation, speaker, and a decoder with two AdaIN; see `minae.models.voice`."""

    def conv(k, a, around=2):
        W = theta[k].reshape(2 * around + 1, a.shape[2], -1)
        words = ("NWC", "WIO", "NWC")
        return lax.conv_general_dilated(a, W, (1,), ((around, around),), dimension_numbers=words) + theta[k.lower()]

    def normalized(a):
        difference = a - a.mean(1, keepdims=True)
        return difference * lax.rsqrt(jnp.square(difference).mean(1, keepdims=True) + 1e-5)

    c = normalized(conv("W2", jax.nn.relu(normalized(conv("W1", x)))))
    v = jax.nn.relu(conv("E1", x)).mean(1) @ theta["E2"] + theta["e2"]
    G1, b1, G2, b2 = (style[:, None] for style in jnp.split(v @ theta["S"] + theta["s"], 4, axis=1))
    r = normalized(conv("V1", c)) * (1 + G1) + b1
    r = normalized(conv("V2", jax.nn.relu(r))) * (1 + G2) + b2
    return 0.5 * jnp.square(conv("V3", jax.nn.relu(r)) - x).sum() / len(x)


def page(workload, env):
    _set_threads(env)
    data, J = env.load(workload.name), globals()[workload.module]
    theta = {key.removeprefix("theta "): jax.device_put(data[key]) for key in data if key.startswith("theta ")}
    given = [jax.device_put(array) for key, array in data.items() if not key.startswith("theta ")]
    gradient = jax.jit(jax.value_and_grad(lambda theta: J(theta, workload.options, *given)))

    def read(result):
        cost, dtheta = result
        return [float(cost), sum(float(jnp.square(array).sum()) for array in dtheta.values()) ** 0.5]

    return Contestant(lambda: jax.block_until_ready(gradient(theta)), read)


def _set_threads(env):
    if env.threads == 1:  # read when JAX first computes
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()


def _theta(saved):
    """minae's parameters, without the noise of the first steps."""
    return {key: jax.device_put(value) for key, value in saved.items() if " " not in key}


def _zeros(theta):
    """Adam's two vectors before the first step."""
    return tuple(jax.tree.map(jnp.zeros_like, theta) for _ in range(2))


def _key(step):
    return jax.random.fold_in(jax.random.key(SEED), step)


def _adam(theta, moments, dtheta, t):
    """θ and Adam's two vectors after step t."""
    average = jax.tree.map(lambda a, g: 0.9 * a + 0.1 * g, moments[0], dtheta)
    square = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, moments[1], dtheta)
    rate, correction = LR / (1 - 0.9**t), 1 / jnp.sqrt(1 - 0.999**t)
    theta = jax.tree.map(lambda w, a, s: w - rate * a / (jnp.sqrt(s) * correction + 1e-8), theta, average, square)
    return theta, (average, square)
