"""JAX's side: a training step as one jitted function whose buffers are donated. Imported only where JAX is measured.

The step takes the rows, draws the noise, differentiates J and applies Adam; θ and Adam's two vectors are written over.
J is found by the name that it has in `workloads`, where PyTorch's side is. It starts from minae's parameters, and its
first steps are given minae's noise.
"""

import itertools
import os

import numpy as np

from minae.bench.contestant import LAM, LEVEL, LR, RHO, SEED, Contestant, K


class Net:
    """f, g and L of a mirrored network of sigmoids; `theta` is a dict of minae's arrays."""

    def __init__(self, jax, theta, depth, options):
        self.jax, self.jnp, self.theta, self.depth = jax, jax.numpy, theta, depth
        self.linear_code, self.gaussian = options.get("code") == "identity", options.get("loss") == "gaussian"

    def hidden(self, x):
        hs = []
        for k in range(1, self.depth + 1):
            x = x @ self.theta[f"W{k}"] + self.theta[f"b{k}"]
            x = x if self.linear_code and k == self.depth else self.jax.nn.sigmoid(x)
            hs.append(x)
        return hs

    def f(self, x):
        return self.hidden(x)[-1]

    def g(self, h):
        for k in range(1, self.depth + 1):
            V = self.theta[f"V{k}"] if "V1" in self.theta else self.theta[f"W{self.depth + 1 - k}"].T
            h = h @ V + self.theta[f"c{k}"]
            h = h if k == self.depth else self.jax.nn.sigmoid(h)
        return h

    def loss(self, s, x):
        if self.gaussian:
            return 0.5 * self.jnp.square(s - x).sum() / len(x)
        return (self.jax.nn.softplus(s) - x * s).sum() / len(x)


# ---- J(net, x, …), by the names of `workloads`


def plain(net, x):
    return net.loss(net.g(net.f(x)), x)


def kl_sparse(net, x):
    h = net.f(x)
    rho_hat, log = h.mean(0), net.jnp.log
    KL = RHO * log(RHO / rho_hat) + (1 - RHO) * log((1 - RHO) / (1 - rho_hat))
    return net.loss(net.g(h), x) + KL.sum()


def denoising(net, x, x_tilde):
    return net.loss(net.g(net.f(x_tilde)), x)


def contractive(net, x):
    h, W = net.f(x), net.theta["W1"]
    return net.loss(net.g(h), x) + LAM * (net.jnp.square(h * (1 - h)) @ net.jnp.square(W).sum(0)).mean()


def deep_contractive(net, x):
    hs = net.hidden(x)
    p, W = [h * (1 - h) for h in hs], [net.theta[f"W{k}"] for k in range(1, net.depth + 1)]
    J = p[-1][:, :, None] * W[-1].T
    for p_l, W_l in zip(p[-2::-1], W[-2::-1], strict=True):
        J = (J * p_l[:, None, :]) @ W_l.T
    return net.loss(net.g(hs[-1]), x) + LAM * net.jnp.square(J).sum() / len(x)


def deep_estimate(net, x, xi):
    h, back = net.jax.vjp(net.f, x)
    (xi_J,) = back(xi[:, 0])
    return net.loss(net.g(h), x) + LAM * net.jnp.square(xi_J).sum() / len(x)


def variational(net, x, eps):
    mu, log_var = net.jnp.split(net.f(x), 2, axis=1)
    z = mu + net.jnp.exp(0.5 * log_var) * eps
    KL = 0.5 * (net.jnp.square(mu) + net.jnp.exp(log_var) - log_var - 1).sum() / len(x)
    return net.loss(net.g(z), x) + KL


def top_k(net, x):
    h = net.f(x)
    value, index = net.jax.lax.top_k(h, K)
    rows = net.jnp.arange(len(h))[:, None]
    return net.loss(net.g(net.jnp.zeros_like(h).at[rows, index].set(value)), x)


COSTS = {J.__name__: J for J in (plain, kl_sparse, denoising, contractive, deep_contractive, deep_estimate)}
COSTS |= {J.__name__: J for J in (variational, top_k)}
NOISE = {  # JAX's own draw: (random, key, x, width of the code)
    "denoising": lambda random, key, x, m: {"x_tilde": x * (random.uniform(key, x.shape) >= LEVEL)},
    "deep_estimate": lambda random, key, x, m: {"xi": random.normal(key, (len(x), 1, m))},
    "variational": lambda random, key, x, m: {"eps": random.normal(key, (len(x), m))},
}


def training(workload, env, adam=True):
    if env.threads == 1:  # read when JAX first computes
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
    import jax

    saved, name, depth = env.load(workload.name), workload.J.__name__, len(workload.sizes) - 1
    J, X, m = COSTS[name], jax.device_put(env.X(workload.sizes[0])), workload.sizes[-1]
    theta = {key: jax.device_put(value) for key, value in saved.items() if " " not in key}
    zeros = [jax.tree.map(jax.numpy.zeros_like, theta) for _ in range(2)]
    batches, count = env.batches(workload.batch), itertools.count()

    def update(state, index, step, noise):
        theta, average, square = state
        x = X[index]
        if noise is None and name in NOISE:
            noise = NOISE[name](jax.random, jax.random.fold_in(jax.random.key(SEED), step), x, m)

        def of_theta(theta):
            return J(Net(jax, theta, depth, workload.options), x, **(noise or {}))

        cost, d = jax.value_and_grad(of_theta)(theta)
        if not adam:
            return (theta, d, square), cost  # the gradient is wanted
        t = step + 1.0
        average = jax.tree.map(lambda a, g: 0.9 * a + 0.1 * g, average, d)
        square = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, square, d)
        rate, correction = LR / (1 - 0.9**t), 1 / jax.numpy.sqrt(1 - 0.999**t)
        theta = jax.tree.map(
            lambda w, a, s: w - rate * a / (jax.numpy.sqrt(s) * correction + 1e-8), theta, average, square
        )
        return (theta, average, square), cost

    update = jax.jit(update, donate_argnums=0)
    state = (theta, *zeros)

    def step():
        nonlocal state
        k = next(count)
        given = {key.split()[0]: saved[key] for key in saved if key.endswith(f" {k}")} if k < workload.first else {}
        state, cost = update(state, next(batches), np.float32(k), given or None)
        return cost

    return Contestant(step, lambda cost: [float(cost)], lambda: jax.block_until_ready(state))
