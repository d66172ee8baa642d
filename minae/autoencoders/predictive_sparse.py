from minae.autoencoders.base import Autoencoder
from minae.backend import dot, namespace
from minae.errors import InputError
from minae.inference import SparseCoding
from minae.networks import Dense, Gain, Network, Shrink
from minae.penalties import Laplace


class PredictiveSparseDecomposition(Autoencoder):
    r"""Predictive sparse decomposition.     (section 14.8; Kavukcuoglu, Ranzato and LeCun 2008)

        J = ‖x − g(h)‖² + λ |h|₁ + γ ‖h − f(x)‖²     (14.19)

        h    = the minimiser of J, by optimisation (minae.inference)
        g(h) = h V + c            a dictionary: the rows of V are atoms, of norm 1
        f(x) = shrink(x W + b, θ) the encoder, which learns to predict h in one pass: one step as of ISTA, but learned
             = G ⊙ tanh(x W + b)  with code="tanh", as in the paper; a gain G_j, since h is not confined to (−1, 1)

    Here J is half of (14.19), the cost terms being L = ½ ‖x − g(h)‖² = −log p(x | h), Ω = |h|₁ and P = ½ ‖h − f(x)‖²:
    the book's λ is twice ours and its γ is ours. Learning alternates: `noise` infers h at the present θ, from f(x) on,
    and `cost_and_grad` takes it as an argument. That is the whole gradient of θ ↦ min_h J: at the minimum ∂J/∂h has no
    part in it (the envelope theorem; |h|₁ is not differentiable at 0, yet h_j stays 0 there when θ moves a little).

    code:             "shrink", which can predict a 0; or an activation φ of `Autoencoder`, and then f = G ⊙ φ(x W + b)
    lam, gamma:       weights λ > 0 of Ω and γ > 0 of P
    steps, tolerance: of the inference in `fit`, see `SparseCoding.fista`
    The other arguments are those of `Autoencoder`. sizes may be (n, …, m) for a deeper f; g is one linear layer.
    `encode` is f(x), one pass; `infer` is the minimiser.
    """

    variant = "predictive_sparse"
    penalised = True

    def __init__(self, sizes, *, lam=0.5, gamma=1.0, steps=100, tolerance=1e-2, **options):
        if not (0 < lam < float("inf") and 0 < gamma < float("inf")):
            raise InputError(f"lam is {lam!r} and gamma {gamma!r}: the weights of Ω and P are numbers > 0")
        if steps < 1 or not tolerance > 0:
            raise InputError(f"steps is {steps} and tolerance {tolerance}: expected steps ≥ 1 and tolerance > 0")
        if options.setdefault("loss", "gaussian") != "gaussian" or options.get("tied"):
            raise InputError("the inference is that of a linear dictionary and squared error: leave out loss and tied")
        super().__init__(sizes, lam=lam, **{"activation": "tanh", "code": "shrink", **options})
        self.weights["P"] = float(gamma)
        self.config |= dict(gamma=float(gamma), steps=int(steps), tolerance=float(tolerance))
        self.penalty = Laplace(self.arena)
        self.constrain()

    def encoder(self, sizes, activation, code):
        last = Shrink("theta1", sizes[-1]) if code == "shrink" else Gain("G1", sizes[-1])
        layers = super().encoder(sizes, activation, "identity" if code == "shrink" else code).layers
        return Network([*layers, last])

    def decoder(self, sizes, activation, tied):
        return Network([Dense("V1", "c1", sizes[-1], sizes[0], "identity")])

    def constrain(self):
        """‖V_j‖ = 1: else h could shrink and V grow, which lowers Ω and changes nothing.  And θ ≥ 0."""
        V = self.parameters["V1"]
        V /= namespace(V).sqrt((V * V).sum(axis=1, keepdims=True)) + 1e-30  # an atom of 0 stays 0
        if "theta1" in self.parameters.shapes:
            theta = self.parameters["theta1"]
            namespace(theta).abs(theta, out=theta)

    def coding(self, gamma=None):
        """E(h) at the present dictionary; gamma: another weight of P, 0 for sparse coding without the encoder."""
        gamma = self.weights["P"] if gamma is None else gamma
        return SparseCoding(self.parameters["V1"], self.parameters["c1"], self.weights["Omega"], gamma)

    def infer(self, X, steps=None, *, gamma=None, tolerance=1e-4):
        """The minimiser h of E, by FISTA from f(x) on:  (rows, n) -> (rows, m).

        steps: that many, or None until the duality gap is ≤ tolerance · E;  gamma: as in `coding`
        """
        how = dict(tolerance=tolerance) if steps is None else dict(steps=steps)
        coding = self.coding(gamma)

        def minimiser(x):
            f, _ = self.f.forward(x)
            return coding.fista(x, f, h=f, **how)

        return self._map(X, "X", 0, minimiser)

    def noise(self, x, rng):
        """h, inferred rather than drawn."""
        f, _ = self.f.forward(x)
        return {"h": self.coding().fista(x, f, h=f, steps=self.config["steps"], tolerance=self.config["tolerance"])}

    def cost_and_grad(self, x, h, need_grad=True):
        """J and its terms at the rows of x, (B, n), with h (B, m) held fixed; ∂J/∂θ goes to `parameters.grad`."""
        x, weights, B = self.start(x), self.weights, x.shape[0]
        h = self.argument(h, "h", (B, self.config["sizes"][-1]))
        s, g_cache = self.g.forward(h)  # r = g(h) = h V + c           (B, n)
        L, ds = self.loss(s, x, weights["L"])  # L = ½ ‖x − g(h)‖², and ds = ∂J/∂s
        f, f_cache = self.f.forward(x)  # f(x)                         (B, m)
        xp = namespace(x)
        df = xp.subtract(f, h, out=self.arena.empty(*h.shape))
        cost = self.cost(L=L, Omega=self.penalty.value(h), P=0.5 * dot(df, df) / B)
        if not need_grad:
            return cost

        # the same lines, upward; Ω has no gradient, since h is given
        self.parameters.zero_grad()
        df *= weights["P"] / B
        self.f.backward(df, f_cache, need_dx=False)
        self.g.backward(ds, g_cache, need_dx=False)
        return cost
