from typing import Any

from minae import kernels
from minae.layers import EVAL
from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost
from minae.networks import dense, mirrored
from minae.options import Settled, Sizes, Weight


class GatedAutoencoder(Autoencoder):
    r"""A sparse autoencoder that decides apart from measuring.     J = L + λ Ω + A     (14.2)

    (Rajamanoharan et al. 2024, "Improving dictionary learning with gated sparse autoencoders")

        u = x W                   one matrix for both
        π = u + b                 the gate: unit j is on where π_j > 0
        m = max(0, u e^r + b_m)   the magnitude, with a scale and a bias of its own
        h = [π > 0] m,  L = −log p(x | h)
        Ω = Σ_j max(0, π_j)       the sparsity of the gates
        A = −log p(x | max(0, π)) with the decoder held fixed: what teaches the gates

    The penalty is on the gates, which only decide, and not on what a unit says. So it cannot shrink it.

    Derivation: a step has no slope, so L reaches W, r and b_m through m alone, and the gates learn from Ω and A. In A
    the decoder is a constant V⁰, c⁰: a right reconstruction from the gates is not what it is for.
        dm = dh [π > 0] [m > 0],    dr = Σ_b dm u e^r,    db_m = Σ_b dm
        dπ = [π > 0] (λ/B + (∂A/∂s) V⁰ᵀ),    db = Σ_b dπ,    du = dm e^r + dπ,    dW = xᵀ du
    """

    name = "gated"
    section = "14.2.1"
    terms = ("L", "A")
    sizes = Sizes("widths of x and of h", most=2, example=(7, 9))
    lam = Weight("Omega", 0.05, "weight λ of the gates' sparsity")
    code = Settled("relu", "the magnitudes are rectified")
    tied = Settled(False, "the decoder's rows are free, as in the paper")
    image = channels = Settled(None, "the derivation is for one layer")
    cases = {"gaussian": dict(lam=0.1, loss="gaussian"), "bernoulli": dict(lam=0.2, sizes=(7, 5))}

    def networks(self) -> dict[str, Any]:
        return {"f": dense(self.sizes, ["identity"], "W", "b"), "g": mirrored(self.sizes, ["identity"], False)}

    def shapes(self) -> dict[str, Any]:
        return {"r": (self.code_size,), "b_m": (self.code_size,)}

    def parts(self, x: Any, mode: Any) -> Any:
        """π, its cache, the open gates, u, e^r and the magnitudes."""
        ws, p = self.arena.ws, self.parameters
        pi, cache = self.f.forward(x, mode)  # π = x W + b                   (B, m)
        on, u, scale = ws.greater(pi, 0), ws.subtract(pi, p["b1"]), ws.exp(p["r"])
        m = ws.maximum(ws.add(ws.multiply(u, scale), p["b_m"]), 0)
        return pi, cache, on, u, scale, m

    def code_of(self, x: Any) -> Any:
        _, _, on, _, _, m = self.parts(x, EVAL)
        return self.arena.ws.multiply(on, m)

    def jacobian(self, X: Any) -> Any:
        """∂h/∂x = diag([π > 0] [m > 0] e^r) Wᵀ at each row:  (rows, n) -> (rows, m, n)."""
        self.fits_in_memory(X)

        def of(x, start):
            _, _, on, _, scale, m = self.parts(x, EVAL)
            slope = on * (m > 0) * scale
            return slope[:, :, None] * self.parameters["W1"].T[None]

        return self.apply(of, X, batch_size=100)

    def cost_and_grad(self, x: Any, V: Any = None, c: Any = None, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at the rows of x, (B, n); V, c: the decoder that A holds fixed, that of θ where they are not
        given; ∂J/∂θ goes to `parameters.grad`."""
        ws, p = self.arena.ws, self.parameters
        V, c = (ws.multiply(p["V1"], 1), ws.multiply(p["c1"], 1)) if V is None else (V, c)
        pi, f_cache, on, u, scale, m = self.parts(x, mode)
        h = ws.multiply(on, m)  # [π > 0] m                                  (B, m)
        s, g_cache = self.g.forward(h, mode)
        L, ds = self.loss(s, x)
        gates = ws.maximum(pi, 0)
        s_gates = kernels.products.matmul(gates, V, out=self.arena.empty(*s.shape))
        s_gates += c
        A, ds_gates = self.of_gates(s_gates, x)
        cost = self.cost(L=L, A=A, Omega=gates.sum() / len(x) if self.lam else None, constants={"V": V, "c": c})
        if not need_grad:
            return cost

        # the same lines, upward
        dpi = kernels.products.matmul(ds_gates, V.T, out=self.arena.empty(*pi.shape))
        dpi += self.lam / len(x)
        dpi = ws.multiply(dpi, on)
        dm = ws.multiply(self.g.backward(ds, g_cache), ws.multiply(on, ws.greater(m, 0)))
        du = ws.multiply(dm, scale)
        self.parameters.gradient("r").add_rows(ws.multiply(du, u))
        self.parameters.gradient("b_m").add_rows(dm)
        self.f.backward(dpi, f_cache, need_dx=False)  # W and b, by the gates
        self.parameters.gradient("W1").add_product(x.T, du)  # and W, by the magnitudes
        return cost

    def build(self) -> None:
        super().build()
        self.of_gates = type(self.loss)(self.arena, self.weights, "A")
