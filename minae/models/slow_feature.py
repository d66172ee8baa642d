from typing import Any

from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost
from minae.options import Weight


class SlowFeatureAutoencoder(Autoencoder):
    r"""An autoencoder whose code changes slowly along a sequence.     J = L + λ S     (section 15.6; 13.3)

        h = f(x),  h′ = f(x′)     the codes of a frame and of the next one
        L = −log p(x | h)         by `loss`, see minae.losses
        S = Σ_j N_j / (V_j + ε)   slowness, of each unit on its own scale
            N_j = 1/B Σ_b (h_bj − h′_bj)²
            V_j = 1/(2B) Σ_b (h_bj − m_j)² + (h′_bj − m_j)²,     m_j the mean of h_j and h′_j over the batch

    What matters in a scene changes more slowly than its pixels: an object that moves by one pixel is the same object
    (Wiskott and Sejnowski 2002). S is small for a unit that says the same of neighbouring frames. Without the division
    it would be small for any code that is scaled down, while the decoder scales it up again and L stays. So the
    variance stands below, as in slow feature analysis, where it is a constraint; S is Σ_j Δ_j, and noise has Δ_j = 2.

    Derivation: h_bj is in N_j, in V_j, and in m_j; but V_j is least at its mean, so ∂V_j/∂m_j = 0.
        ∂N_j/∂h_bj = 2/B (h_bj − h′_bj) = −∂N_j/∂h′_bj
        ∂V_j/∂h_bj = 1/B (h_bj − m_j),    the same for h′
        ∂S/∂h_bj   = ∂N_j/∂h_bj / (V_j + ε) − ∂V_j/∂h_bj N_j/(V_j + ε)²
    Every row gets a share of the batch's N_j and V_j: S couples the rows, as ρ̂ does.
    """

    name = "slow_feature"
    short = ("sfa",)
    section = "15.6"
    lam = Weight("S", 1.0, "weight λ of the slowness S")
    coupled = ("S",)
    epsilon = 1e-6  # keeps a unit that does not vary from 0/0
    cases = {
        "tanh": dict(activation="tanh", lam=0.3),
        "gaussian, linear code": dict(activation="softplus", code="identity", loss="gaussian"),
        "convolutional": dict(sizes=(84, 5, 3), image=(2, 7, 6), channels=(3, 4), activation="tanh"),
    }

    def inputs(self) -> dict[str, Any]:
        frame = self.loss.field(*(self.image or self.sizes[:1]))
        return {"x": frame, "next": self.loss.field(*(self.image or self.sizes[:1]))}

    def cost_and_grad(self, x: Any, next: Any, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at frames x and the frames after them, each (B, n); ∂J/∂θ goes to `parameters.grad`."""
        h, f_cache = self.f.forward(x, mode)  # h = f(x)                     (B, m)
        s, g_cache = self.g.forward(h, mode)  # r = g(h), as logits s        (B, n)
        L, ds = self.loss(s, x)  # L = −log p(x | h), and ds = ∂J/∂s
        if not self.lam:
            cost = self.cost(L=L)
        else:
            h_next, next_cache = self.f.forward(next, mode)  # h′ = f(x′)    (B, m)
            S, slopes = self.slowness(h, h_next, need_grad)
            cost = self.cost(L=L, S=S)
        if not need_grad:
            return cost

        # the same lines, upward
        dh = self.g.backward(ds, g_cache)
        if self.lam:
            dh += slopes[0]
            self.f.backward(slopes[1], next_cache, need_dx=False)
        self.f.backward(dh, f_cache, need_dx=False)
        return cost

    def slowness(self, h: Any, h_next: Any, need_grad: bool = True) -> Any:
        """S, and λ ∂S/∂h and λ ∂S/∂h′."""
        ws, B, mean = self.arena.ws, len(h), self.arena.world.mean
        m = mean((h.sum(axis=0) + h_next.sum(axis=0)) / (2 * B))
        d, a, b = ws.subtract(h, h_next), ws.subtract(h, m), ws.subtract(h_next, m)
        N = mean(ws.multiply(d, d).sum(axis=0) / B)
        V = mean(ws.add(ws.multiply(a, a), ws.multiply(b, b)).sum(axis=0) / (2 * B)) + self.epsilon
        S = (N / V).sum()
        if not need_grad:
            return S, None
        by_N, by_V = self.lam * 2 / (B * V), self.lam * N / (B * V * V)
        d = ws.multiply(d, by_N)
        return S, (ws.subtract(d, ws.multiply(a, by_V)), ws.negative(ws.add(d, ws.multiply(b, by_V))))
