from typing import Any

import numpy as np

from minae.fields import Real, host_array
from minae.layers import Activation, AdaIN, Affine, Convolution, EndOfSequence, InstanceNorm, Mode, TimeMean
from minae.losses import Gaussian
from minae.models.model import Cost, Model
from minae.networks import Network
from minae.ops import ACTIVATIONS
from minae.options import Choice, Count, Flag
from minae.training.progress import batched


class VoiceAutoencoder(Model):
    r"""A code in two halves: what is said, and who says it.     J = L     (section 15.6)

    (Chou et al. 2019, "One-shot voice conversion by separating speaker and content representations with instance
    normalization")

        x_1 … x_T     frames of one recording, such as log-mel energies
        c = f(x)      content, one code a frame: convolutions over time, each with instance normalisation
        v = e(x′)     speaker, one code a recording: a convolution, and its mean over time
        r = g(c, v)   convolutions over time, each normalised too; v gives each channel's deviation and mean (AdaIN)
        L = ½ Σ_t ‖r_t − x_t‖²

    Who speaks is so at all times, and what is said changes. So f is not allowed to say what is constant: of each
    channel, instance normalisation takes away the mean over time and sets the deviation to 1. And e ends with a mean
    over time, so it has no means to say what changes. The content of one recording with the v of another one is the
    first text in the second voice: `convert`.

    But the mean of a short recording depends on its words, too. Where the speakers of the recordings are known, x can
    be told v = e(x′) of another recording x′ of its speaker, `other`: then v is of no use for what x says.

    Derivation: v reaches r through the styles (G, b) = v S + s of the two AdaIN, and x through both halves; what
    `InstanceNorm` and `AdaIN` do to a gradient stands in `minae.layers.normalization`.
        dG_j = Σ_t dy_tj x̂_tj,   db_j = Σ_t dy_tj,   dv = Σ_k dstyle_k S_kᵀ,   dx_t of e is dv/T for each real frame
    Padded frames of a batch are in no mean, no deviation and no window, see `EndOfSequence`: they change nothing.
    """

    e: Any
    s: Any
    end: Any
    g1: Any
    a1: Any
    g2: Any
    a2: Any
    g3: Any
    name = "voice"
    section = "15.6"
    recordings = True
    bands = Count(32, "n, numbers a frame", example=3)
    hidden = Count(64, "channels between x and the codes", example=4)
    content = Count(16, "m, numbers of the content a frame", example=2)
    speaker = Count(16, "numbers of the speaker's code", example=3)
    around = Count(2, "frames before its own, and after it, that a convolution reads", example=1)
    activation = Choice("relu", "φ of the hidden layers", among=ACTIVATIONS)
    normalized = Flag(True, "whether f normalises over time; without it f may say all")
    cases = {"": dict(activation="tanh"), "f not normalised": dict(activation="softplus", normalized=False)}

    def inputs(self) -> dict[str, Any]:
        return {"x": Real(None, self.bands), "other": Real(None, self.bands, optional=True)}

    def networks(self) -> dict[str, Any]:
        n, H, m, T = self.bands, self.hidden, self.content, 2 * self.around + 1

        def conv(letter, k, wide, channels, gain=2):
            pair = f"{letter}{k}", f"{letter.lower()}{k}"
            return Convolution(*pair, (T, wide), channels, T, padding=self.around, gain=gain)

        def above(letter, k, wide, channels, gain=2):
            return [Activation(self.activation), EndOfSequence(), conv(letter, k, wide, channels, gain)]

        norm = [InstanceNorm(H, axis=-1)] if self.normalized else []
        last = [InstanceNorm(m, axis=-1)] if self.normalized else []
        f = [conv("W", 1, n, H), *norm, *above("W", 2, H, m, None), *last]
        e = [conv("E", 1, n, H), Activation(self.activation), TimeMean(), Affine("E2", "e2", H, self.speaker)]
        return {
            "end": EndOfSequence(), "f": Network(f), "e": Network(e), "s": Affine("S", "s", self.speaker, 4 * H),
            "g1": Network([EndOfSequence(), conv("V", 1, m, H)]), "a1": AdaIN(H, axis=-1),
            "g2": Network(above("V", 2, H, H)), "a2": AdaIN(H, axis=-1),
            "g3": Network([*above("V", 3, H, n, None), EndOfSequence()]),
        }  # fmt: skip

    def build(self) -> None:
        self.loss = Gaussian(self.arena, self.weights)

    def decoded(self, c: Any, v: Any, mode: Any) -> Any:
        """r = g(c, v), and the caches of its parts."""
        style, s_cache = self.s.forward(v, mode)  # the (G, b) of both AdaIN (B, 4 H)
        first, second = style[:, : 2 * self.hidden], style[:, 2 * self.hidden :]
        a, c1 = self.g1.forward(c, mode)
        a, c2 = self.a1.forward(a, first, mode)
        a, c3 = self.g2.forward(a, mode)
        a, c4 = self.a2.forward(a, second, mode)
        r, c5 = self.g3.forward(a, mode)
        return r, (s_cache, c1, c2, c3, c4, c5)

    def cost_and_grad(
        self,
        x: Any,
        x_length: Any = None,
        other: Any = None,
        other_length: Any = None,
        mode: Any = "train",
        need_grad: bool = True,
    ) -> Cost:
        """J and its terms at recordings x (B, T, n) of these lengths (B,), and others of the same speakers, by default
        x itself; ∂J/∂θ goes to `parameters.grad`."""
        mode.length, of_other = x_length, Mode(length=other_length)
        x, _ = self.end.forward(x, mode)  # whatever stands in the padded frames
        its, of_other = (x, mode) if other is None else (self.end.forward(other, of_other)[0], of_other)
        c, f_cache = self.f.forward(x, mode)  # c = f(x)                     (B, T, m)
        v, e_cache = self.e.forward(its, of_other)  # v = e(x′)              (B, speaker)
        r, (s_cache, c1, c2, c3, c4, c5) = self.decoded(c, v, mode)  #        (B, T, n)
        L, dr = self.loss(r, x)  # both are 0 at padded frames
        cost = self.cost(L=L)
        if not need_grad:
            return cost

        # the same lines, upward
        dstyle, H = self.arena.empty(len(x), 4 * self.hidden), self.hidden
        da = self.g3.backward(dr, c5)
        da, dstyle[:, 2 * H :] = self.a2.backward(da, c4)
        da = self.g2.backward(da, c3)
        da, dstyle[:, : 2 * H] = self.a1.backward(da, c2)
        dc = self.g1.backward(da, c1)
        dv = self.s.backward(dstyle, s_cache)
        self.e.backward(dv, e_cache, need_dx=False)
        self.f.backward(dc, f_cache, need_dx=False)
        return cost

    # ---- verbs: lists of recordings in, lists or rows out

    def encode(self, X: Any) -> list[np.ndarray]:
        """c of each recording:  a list of (T, n) -> a list of (T, m)."""
        return self.by_recording(lambda mode, x: self.f.forward(x, mode)[0], X)

    def speakers(self, X: Any) -> np.ndarray:
        """v of each recording:  a list of (T, n) -> (rows, speaker)."""
        return np.stack(self.by_recording(lambda mode, x: self.e.forward(x, mode)[0], X, whole=True))

    def convert(self, X: Any, v: Any, source: Any = None) -> list[np.ndarray]:
        """r = g(f(x), v): what each recording says, in the voice v, one for all (speaker,) or a row for each.

        source: the voices that the recordings have, likewise. With them, r = x + g(f(x), v) − g(f(x), source): only
        the difference of the voices is taken from g, and the detail of x that g cannot say is kept.
        """
        r = self.said(X, v)
        if source is None:
            return r
        return [x + (there - here) for x, there, here in zip(X, r, self.said(X, source), strict=True)]

    def said(self, X: Any, v: Any) -> Any:
        """g(f(x), v) of each recording."""
        v = np.broadcast_to(host_array(v, "v"), (len(X), self.speaker)).astype(self.dtype)
        voices = iter(np.ascontiguousarray(v))

        def of(mode, x):
            rows = self.backend.from_numpy(np.stack([next(voices) for _ in range(len(x))]))
            return self.decoded(self.f.forward(x, mode)[0], rows, mode)[0]

        return self.by_recording(of, X)

    def reconstruct(self, X: Any) -> list[np.ndarray]:
        """r = g(f(x), e(x)):  a list of (T, n) -> a list of (T, n)."""
        return self.by_recording(lambda mode, x: self.decoded(self.f.forward(x, mode)[0],
                                                              self.e.forward(x, mode)[0], mode)[0], X)  # fmt: skip

    def by_recording(self, function: Any, X: Any, whole: bool = False, batch_size: int = 64) -> list[np.ndarray]:
        """function(mode, x) of recordings, batch by batch; what belongs to padded frames is cut off, unless the result
        is of the `whole` recording."""
        batches, out = self.batches(X), []
        for start, stop in batched(len(batches), batch_size):
            with self.arena:
                x, length = batches.take(np.arange(start, stop)).values()
                y = np.array(self.backend.to_numpy(function(Mode("eval", length=length), x)))
                T = self.backend.to_numpy(length)
                out += list(y) if whole else [row[:t] for row, t in zip(y, T, strict=True)]
        return out
