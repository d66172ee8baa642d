import math
from typing import Any

from minae.contraction import Contraction
from minae.errors import InputError
from minae.fields import Code
from minae.games import GAMES, Game
from minae.layers import Activation, ChannelsFirst, ChannelsLast, Convolution, Flatten, Reshape
from minae.losses import LOSSES
from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost, Model
from minae.networks import RECTIFIED, Network, dense
from minae.options import Choice, Option, Sizes, Weight, Widths


class CycleConsistent(Model):
    r"""Two translators between two domains whose rows are not paired.     (20.10.4; Zhu et al. 2017)

        b̂ = G(a),  â = F(b)       the translations
        turn D   J = L_D + λ R1                            moves d_a and d_b, which tell b from b̂, and a from â
        turn G   J = L_G + λ_C Cycle + λ_I Identity        moves G and F
            L_G      = the generators' costs of both games     b̂ shall be taken for a b, and â for an a
            Cycle    = Σ |F(b̂) − a| + Σ |G(â) − b|             there and back again; means over the batch
            Identity = Σ |G(b) − b| + Σ |F(a) − a|             each translator leaves its *target* domain alone

    The games see the domains as wholes: they ask that the b̂ be distributed as the b, and they cannot ask which b̂
    belongs to which a. Cycle asks that a can be had back from b̂, so that G forgets nothing. What it does not
    ask: let T be a bijection of the first domain that keeps its distribution, such as an exchange of two classes. Then
    G∘T and T⁻¹∘F have the same games as G and F, and Cycle = 0 where it was 0. What they translate is exchanged.

    Derivation: a and b are data, so that Cycle and Identity pull at the translations alone. b̂ stands in two terms of
    turn G, in the game of d_b and in F(b̂), and the slopes of both are added. (Each slope: `minae.losses`.)
        Cycle:     dF(b̂) = λ_C ∂Cycle/∂F(b̂) → F's parameters, and on to b̂:  db̂ = (∂F(b̂)/∂b̂)ᵀ dF(b̂)
        L_G:       dt → db̂ += (∂t/∂b̂)ᵀ dt through d_b, whose parameters get no gradient
        then       db̂ → G's parameters; a is data and gets none; likewise with the domains exchanged
        Identity:  dG(b) = λ_I ∂Identity/∂G(b) → G's parameters
    In turn D the translations are held fixed, and nothing goes on to G and F.
    """

    G: Any
    F: Any
    d_a: Any
    d_b: Any
    name = "cycle"
    short = ("cyclegan",)
    section = "20.10.4"
    terms = ("L_D", "L_G")
    objective = ("L_G", "Cycle")
    turns = {"D": ("d_a", "d_b"), "G": ("G", "F")}
    sizes = Sizes("widths of G, from a to b: (784, 256, 784); F has them from b to a")
    activation = Choice("relu", "φ of the hidden layers of all four", among=Autoencoder.activation.among)
    last = Choice("identity", "φ of the last layer of G and F", among=("identity", "sigmoid", "tanh"))
    discriminator = Widths((100,), "widths of the hidden layers of d_a and d_b")
    game: Any = Choice("non_saturating", "costs of the games", among=tuple(GAMES))
    loss: Any = Choice("laplace", "the distance in Cycle and Identity", among=("laplace", "gaussian"))
    cycle = Weight("Cycle", 10.0, "weight λ_C of the cycle")
    identity = Weight(
        "Identity", 0.0, "weight λ_I of the identity on the target domain, left out where a and b have two widths"
    )
    penalty = Weight("R1", 0.0, "weight λ of R1, the slope of d_a and d_b at the data")
    image: Option[list[int] | None] = Widths(
        None, "(C, H, W) of a and of b, for `channels`", fewest=3, most=3, optional=True
    )
    channels: Option[list[int] | None] = Widths(
        None, "makes G and F local: 3 × 3 convolutions with these channels between", optional=True
    )
    cases = {
        "two widths": dict(sizes=(5, 4, 3), activation="tanh", discriminator=(4,), loss="gaussian"),
        "identity, R1": dict(sizes=(5, 4, 5), activation="tanh", discriminator=(4,), identity=0.5, penalty=0.1),
        "affine, least squares": dict(sizes=(4, 4), activation="softplus", discriminator=(3,), game="least_squares"),
        "convolutional": dict(
            sizes=(12, 12), image=(1, 4, 3), channels=(2,), activation="tanh", discriminator=(3,), last="sigmoid",
            identity=0.5, loss="gaussian",
        ),
    }  # fmt: skip

    def settle(self) -> None:
        if (self.image is None) != (self.channels is None):
            raise InputError(f"image is {self.image} and channels {self.channels}: expected both, or none")
        if self.image is not None and self.sizes != [math.prod(self.image)] * 2:
            raise InputError(
                f"image is {self.image} and sizes {self.sizes}: expected C·H·W twice, {[math.prod(self.image)] * 2}"
            )

    def inputs(self) -> dict[str, Any]:
        return {"a": Code(self.sizes[0]), "b": Code(self.sizes[-1], domain="b")}

    def networks(self) -> dict[str, Any]:
        hidden = [self.activation] * len(self.discriminator)
        d_a, d_b = (
            dense([n, *self.discriminator, 1], [*hidden, "identity"], f"D{of}", f"e{of}")
            for n, of in ((self.sizes[0], "a"), (self.sizes[-1], "b"))
        )
        G, F = self.translator(self.sizes, "W", "b"), self.translator(self.sizes[::-1], "V", "c")
        return {"G": G, "F": F, "d_a": d_a, "d_b": d_b}

    def translator(self, widths: Any, W: Any, b: Any) -> Any:
        """G or F: affine layers, or where there are `channels` convolutions, each of which sees 3 × 3 pixels."""
        if self.channels is None:
            return dense(widths, [self.activation] * (len(widths) - 2) + [self.last], W, b)
        image: Any = self.image
        layers: list[Any] = [Reshape(widths[:1], image), ChannelsLast(image)]
        shape = (*image[1:], image[0])
        activations = [self.activation] * len(self.channels) + [self.last]
        for k, (width, phi) in enumerate(zip([*self.channels, image[0]], activations, strict=True)):
            gain = RECTIFIED.get(phi)
            layers.append(Convolution(f"{W}{k + 1}", f"{b}{k + 1}", shape, width, 3, padding=1, gain=gain))
            layers.append(Activation(phi))
            shape = layers[-2].shape_out
        return Network([*layers, ChannelsFirst(shape), Flatten(image)])

    def build(self) -> None:
        self.contractions = [Contraction(d, self.weights, "R1") for d in (self.d_a, self.d_b)]
        self.game = Game(self.options["game"], self.arena, self.weights)
        self.back, self.same = (
            LOSSES[self.options["loss"]](self.arena, self.weights, term) for term in ("Cycle", "Identity")
        )

    def cost_and_grad(self, a: Any, b: Any, turn: str = "D", mode: Any = "train", need_grad: bool = True) -> Cost:
        """The cost of one turn at rows of both domains, which are not paired; ∂J/∂θ goes to `parameters.grad`."""
        b_made, G_cache = self.G.forward(a, mode)  # b̂ = G(a)                (B, m)
        a_made, F_cache = self.F.forward(b, mode)  # â = F(b)                (B, n)
        if turn == "D":
            plays = [self.judge(self.d_a, self.contractions[0], a, a_made, mode, need_grad)]
            plays.append(self.judge(self.d_b, self.contractions[1], b, b_made, mode, need_grad))
            R1 = sum(R1 for _, R1 in plays) if self.penalty else None
            return self.cost(L_D=sum(L_D for L_D, _ in plays), R1=R1)

        t_a, d_a_cache = self.d_a.forward(a_made, mode)  # d_a(â)            (B, 1)
        t_b, d_b_cache = self.d_b.forward(b_made, mode)  # d_b(b̂)            (B, 1)
        (L_a, dt_a), (L_b, dt_b) = self.game.generator(t_a), self.game.generator(t_b)
        a_back, F_back_cache = self.F.forward(b_made, mode)  # F(G(a))       (B, n)
        b_back, G_back_cache = self.G.forward(a_made, mode)  # G(F(b))       (B, m)
        (C_a, da_back), (C_b, db_back) = self.back(a_back, a), self.back(b_back, b)
        Identity = self.leave_alone(a, b, mode, need_grad) if self.identity and a.shape[1] == b.shape[1] else None
        cost = self.cost(L_G=L_a + L_b, Cycle=C_a + C_b, Identity=Identity)
        if not need_grad:
            return cost

        # the same lines, upward
        da_made = self.G.backward(db_back, G_back_cache)
        db_made = self.F.backward(da_back, F_back_cache)
        db_made += self.d_b.backward(dt_b, d_b_cache, need_dW=False)  # through d_b, which does not move
        da_made += self.d_a.backward(dt_a, d_a_cache, need_dW=False)
        self.F.backward(da_made, F_cache, need_dx=False)
        self.G.backward(db_made, G_cache, need_dx=False)
        return cost

    def judge(self, d: Any, contraction: Any, x: Any, made: Any, mode: Any, need_grad: bool) -> Any:
        """L_D and R1 of one game, and their gradients in d: x is to be told from what was made."""
        t_real, real_cache = d.forward(x, mode)
        t_fake, fake_cache = d.forward(made, mode)
        L_D, dt_real, dt_fake = self.game.discriminator(t_real, t_fake)
        R1, R1_cache = contraction.value(real_cache, need_grad=need_grad)  # ‖∂d/∂x‖²
        if need_grad:
            joins = contraction.backward(real_cache, R1_cache)
            d.backward(dt_fake, fake_cache, need_dx=False)
            d.backward(dt_real, real_cache, need_dx=False, joins=joins)
        return L_D, R1

    def leave_alone(self, a: Any, b: Any, mode: Any, need_grad: bool) -> Any:
        """Identity, and its gradients in G and F. G makes a b, so it is to leave b alone, and not a."""
        (s_b, G_cache), (s_a, F_cache) = self.G.forward(b, mode), self.F.forward(a, mode)
        (of_b, ds_b), (of_a, ds_a) = self.same(s_b, b), self.same(s_a, a)
        if need_grad:
            self.G.backward(ds_b, G_cache, need_dx=False)
            self.F.backward(ds_a, F_cache, need_dx=False)
        return of_a + of_b

    # ---- verbs

    def translate(self, A: Any) -> Any:
        """b̂ = G(a):  (rows, n) -> (rows, m)."""
        return self.apply(lambda a, start: self.G.forward(a)[0], A, name="A")

    def translate_back(self, B: Any) -> Any:
        """â = F(b):  (rows, m) -> (rows, n)."""
        return self.apply(lambda b, start: self.F.forward(b)[0], B, self.fields["b"], "B")
