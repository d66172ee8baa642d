"""Faults of a line each, put into a copy of the tree one at a time, and the test that catches each.

    python tests/mutants.py                        all of them
    python tests/mutants.py survivor batch-norm    those whose names begin so
    python tests/mutants.py --json                 one JSON object a line

A test that no fault can fail says nothing. Thirty of these faults are those of a review of the engine, twelve of which
no test saw then; their names begin with `survivor`. The others sit where the engine is newer. On 26 November 2026 all
72 were caught, in one run. Run it by hand after you have changed tests, or what they test: it takes twenty minutes, so
pytest does not collect it.

A fault is a text that stands once in a file, and what takes its place. Where the text is not there any more, or more
than once, the fault is stale, which is an error: move it to where that line is now. The tests that are named beside a
fault run without it first, since a test that fails anyway catches nothing. Exit status: 0 where every fault is caught,
1 where one survives, and 2 for an error.
"""

import argparse
import functools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = "minae", "kernels", "chapters", "tests"
FILES = "pyproject.toml", "README.md", *(path.name for path in ROOT.glob("*.py"))
SECONDS = 300  # that the tests of one fault may take


@dataclass(frozen=True)
class Mutant:
    """file: below the root;  old, new: texts;  harm: what a user would have;  tests: arguments of pytest"""

    name: str
    file: str
    old: str
    new: str
    harm: str
    tests: str


MUTANTS = [
    # ---- a review's thirty: those that were caught
    Mutant(
        "contraction-change",
        "minae/contraction.py",
        "for of_layers in sums.das for da in of_layers)]:",
        "for of_layers in sums.das[:1] for da in of_layers)]:",
        "a gradient of the Hessian term that is wrong at the nearby point of a deep encoder",
        "tests/test_checks.py -k 'test_every_model and contractive_h'",
    ),
    Mutant(
        "gradient-overwrites",
        "minae/parameters.py",
        "kernels.products.add_matmul(A, B, self._array, self._arena)",
        "kernels.products.matmul(A, B, self._array)",
        "a tied matrix that learns from one of its two layers",
        "tests/test_parameters.py",
    ),
    Mutant(
        "laplace-mean",
        "minae/penalties.py",
        "namespace(h).abs(h, out=self._like(h)).sum() / h.shape[0]",
        "namespace(h).abs(h, out=self._like(h)).sum() / h.size",
        "an Ω that is smaller by the width of the code than the one that is minimised",
        "tests/test_effects.py -k laplace",
    ),
    Mutant(
        "contraction-draws",
        "minae/models/contractive_h.py",
        "share=1 / self.draws)",
        "share=1.0)",
        "a Hessian term K times as strong as its weight says",
        "tests/test_checks.py -k 'test_every_model and contractive_h'",
    ),
    Mutant(
        "log-softmax-axis",
        "kernels/log_softmax.py",
        "ds *= dy.sum(axis=1, keepdims=True)",
        "ds *= dy.sum(axis=0, keepdims=True)",
        "a gradient of the softmax that mixes examples",
        "tests/test_ops.py -k log_softmax",
    ),
    Mutant(
        "contraction-last-block",
        "minae/contraction.py",
        "for start in range(0, B, count)]",
        "for start in range(0, B - count + 1, count)]",
        "a ‖Jf‖² that leaves out the last rows of a batch",
        "tests/test_effects.py -k blocks_of_rows",
    ),
    Mutant(
        "hashing-variance",
        "minae/codes.py",
        "self.ws.multiply(eps, self.level)",
        "self.ws.multiply(eps, self.level**0.5)",
        "half of the noise that was asked for, and codes that are no bits",
        "tests/test_hashing.py -k stated_level",
    ),
    Mutant(
        "he-fan",
        "minae/layers/dense.py",
        "variance = self.gain / self.n if self.gain",
        "variance = self.gain / self.m if self.gain",
        "first weights of ReLU networks that blow the signal up, or lose it",
        "tests/test_layers.py -k initial_scale",
    ),
    Mutant(
        "checkpoint-best",
        "minae/training/checkpoint.py",
        "self.best, self.best_J = {name: from_numpy(tensors[name]) for name in self.current()}, run",
        "self.best_J = run",
        "a resumed run that ends with its last parameters and not with its best",
        "tests/test_training.py -k 'resume'",
    ),
    Mutant(
        "projection-left-out",
        "minae/models/model.py",
        "            self.state[name][...] = array\n        self.project()",
        "            self.state[name][...] = array",
        "a dictionary whose atoms grow, so that its codes shrink and λ means nothing",
        "tests/test_predictive_sparse.py -k norm_1",
    ),
    Mutant(
        "pretrain-input",
        "minae/models/stacked.py",
        "h = part.encode(h)",
        "h = part.encode(part.reconstruct(h))",
        "layers that were pretrained on other codes than they will read",
        "tests/test_stacked.py -k greedy",
    ),
    Mutant(
        "cosine-late",
        "minae/training/schedules.py",
        "math.cos(math.pi * min(t / self.steps, 1.0))",
        "math.cos(math.pi * min(t / (self.steps + 1), 1.0))",
        "a learning rate that is not yet at its floor when the schedule ends",
        "tests/test_optimizers.py -k schedules",
    ),
    Mutant(
        "gap-too-small",
        "minae/inference.py",
        "abs(u).max(axis=1)",
        "abs(u).mean(axis=1)",
        "an inference that stops before its tolerance is reached",
        "tests/test_predictive_sparse.py -k 'optimality or gap or minimiser'",
    ),
    Mutant(
        "fista-restart",
        "kernels/shrinkage.py",
        "against = (((y - new) * d).sum(axis=1) > 0)",
        "against = (((y - new) * d).sum(axis=1) < 0)",
        "an inference that loses its momentum where it helps",
        "tests/test_kernels.py tests/test_predictive_sparse.py -k 'shrinkage or minimiser'",
    ),
    Mutant(
        "categorical-draw",
        "minae/losses.py",
        "xp.minimum(below.sum(axis=1), s.shape[1] - 1)",
        "xp.minimum(below.sum(axis=1) + 1, s.shape[1] - 1)",
        "draws of the class after the one that was drawn",
        "tests/test_effects.py -k categorical_draw",
    ),
    Mutant(
        "bias-first-tiles",
        "kernels/products.py",
        "            if bias.size:",
        "            if bias.size and j == 0:",
        "outputs without their bias on machines with several cores",
        "tests/test_pool.py -k test_products",
    ),
    Mutant(
        "rows-last-column",
        "kernels/rows.py",
        "            for i in range(row.size):\n                gradient[i] += v * row[i]",
        "            for i in range(row.size - 1):\n                gradient[i] += v * row[i]",
        "columns of a decoder that do not learn, one for each thread",
        "tests/test_ops.py tests/test_k_sparse.py -k 'sparse or rows'",
    ),
    Mutant(
        "noise-reused",
        "kernels/noise.py",
        "pair(c0, c1), pair(c2, c3)",
        "pair(c0, c1), pair(c0, c3)",
        "noise that is correlated between the halves of an array",
        "tests/test_pool.py -k 'draws_the_same or test_noise'",
    ),
    # ---- and those that survived then
    Mutant(
        "survivor-frozen-between",
        "minae/parameters.py",
        "slices[-1][1] == factor and slices[-1][0].stop == start",
        "slices[-1][1] == factor",
        "S1: a frozen layer between two others that is trained, silently",
        "tests/test_parameters.py",
    ),
    Mutant(
        "survivor-decayed-biases",
        "minae/penalties.py",
        "for name, shape in parameters.shapes.items() if len(shape) > 1]",
        "for name, shape in parameters.shapes.items()]",
        "S2: weight decay of biases, factors and thresholds, which is another Ω than (7.1.1)",
        "tests/test_effects.py -k weight_decay",
    ),
    Mutant(
        "survivor-same-order",
        "minae/training/loop.py",
        "batches.order(model.backend, seed, run.epoch)",
        "batches.order(model.backend, seed, 0)",
        "S3: the same order of rows in every epoch, which makes a worse descent",
        "tests/test_backend.py -k every_epoch",
    ),
    Mutant(
        "survivor-same-noise",
        "minae/training/loop.py",
        'self.seed, "noise", self.epoch, k)',
        'self.seed, "noise", 0, k)',
        "S4: a denoiser that sees each x with one corruption, a variational model with one ε",
        "tests/test_backend.py -k every_epoch",
    ),
    Mutant(
        "survivor-patience-anew",
        "minae/training/checkpoint.py",
        'run["epoch"], run["position"], run["stale"]\n',
        'run["epoch"], run["position"], 0\n',
        "S5: patience that starts anew at each resume",
        "tests/test_training.py -k 'no_progress'",
    ),
    Mutant(
        "survivor-bernoulli-draw",
        "minae/losses.py",
        "namespace(s).less(u, p, out=u)",
        "namespace(s).greater_equal(u, p, out=u)",
        "S6: draws that are 1 with probability 1 − p: chains and walks of noise",
        "tests/test_losses.py -k draw",
    ),
    Mutant(
        "survivor-walks",
        "minae/models/denoising.py",
        "x = self.shaped(self.loss.sample(self.g.forward(self.code_of(x_tilde))[0], rng))\n"
        "            x_tilde = self.corrupt(x,",
        "y = self.shaped(self.loss.sample(self.g.forward(self.code_of(self.corrupt(x, rng, self.arena)))[0], rng))\n"
        "            x_tilde = self.corrupt(y,",
        "S7: walk-back training that begins each walk at x, so that walks=4 is walks=1",
        "tests/test_effects.py -k walk",
    ),
    Mutant(
        "survivor-langevin-step",
        "minae/models/denoising.py",
        "size = self.level**2 if size is None else size",
        "size = self.level if size is None else size",
        "S8: a Langevin chain whose spread is not that of the data",
        "tests/test_effects.py -k score",
    ),
    Mutant(
        "survivor-dull-samples",
        "minae/models/variational.py",
        "return self.decode(z)",
        "return self.decode(z * self.dtype.type(0.5))",
        "S9: samples of a variational model from the middle of its prior alone",
        "tests/test_effects.py -k samples",
    ),
    Mutant(
        "survivor-device-range",
        "minae/data/batches.py",
        "        if not self.lazy:\n",
        "        if not self.lazy and not self.on_device:\n",
        "S10: pixels of 0 … 255 on a GPU that go into the Bernoulli loss",
        "tests/test_models.py tests/test_fields.py -k device",
    ),
    Mutant(
        "survivor-copied-weights",
        "minae/models/model.py",
        "        other.weights.update(self.weights)\n",
        "",
        "S11: a copy of an annealed model that has another cost than the model",
        "tests/test_models.py -k copy_has_the_weights",
    ),
    Mutant(
        "survivor-diverged-term",
        "minae/training/loop.py",
        "raise self.diverged(self.names[i], trace[k, i], k)",
        "raise self.diverged(self.names[0], trace[k, i], k)",
        "S12: a message that names the wrong cost term",
        "tests/test_training.py -k names_the_term",
    ),
    # ---- layers
    Mutant(
        "convolution-padding",
        "kernels/convolution.py",
        "read = inside and 0 <= first + k < width",
        "read = 0 <= first + k < width",
        "a convolution that reads the first row of the image again where its padding is 0",
        "tests/test_convolution.py -k 'scipy or adjoint or plain_forms'",
    ),
    Mutant(
        "convolution-windows",
        "minae/ops/convolution.py",
        "(n + 2 * p - k) // s + 1 for",
        "(n + p - k) // s + 1 for",
        "images that are smaller than the padding that was asked for makes them",
        "tests/test_convolution.py -k 'scipy or what_they_make'",
    ),
    Mutant(
        "max-pool-every-tap",
        "minae/ops/pooling.py",
        "    dcols *= dy.reshape(-1, 1, C)\n",
        "    dcols[...] = dy.reshape(-1, 1, C)\n",
        "a max-pooling whose gradient goes to every pixel of a window",
        "tests/test_convolution.py -k 'equal_pixels or through_networks'",
    ),
    Mutant(
        "batch-norm-eval",
        "minae/layers/normalization.py",
        "        if not mode.train:\n            sigma =",
        "        if not mode.train and len(x) < 2:\n            sigma =",
        "an encoding of a row that depends on the rows beside it",
        "tests/test_normalization.py",
    ),
    Mutant(
        "batch-norm-biased",
        "minae/layers/normalization.py",
        "self.delta), N / (N - 1))",
        "self.delta), 1.0)",
        "a running variance that is too small where batches are small",
        "tests/test_normalization.py",
    ),
    Mutant(
        "statistics-of-the-last-turn",
        "minae/training/loop.py",
        "statistics |= {name: array.copy() for name, array in cost.statistics.items()}",
        "statistics = {name: array.copy() for name, array in cost.statistics.items()}",
        "running averages that stand still in the turns of a game but for the last",
        "tests/test_protocol.py",
    ),
    Mutant(
        "dropout-scale",
        "minae/layers/regularizing.py",
        "self.ws.greater_equal(u, self.rate), 1 / (1 - self.rate))",
        "self.ws.greater_equal(u, self.rate), 1.0)",
        "activations that are larger in use than they were in training",
        "tests/test_regularizing.py -k dropout",
    ),
    Mutant(
        "attention-padding",
        "minae/layers/attention.py",
        "reads &= (key < length[:, None])[:, None]",
        "reads &= (key <= length[:, None])[:, None]",
        "a sequence whose code depends on what it is padded with",
        "tests/test_sequence.py -k padding",
    ),
    Mutant(
        "attention-future",
        "minae/layers/attention.py",
        "reads &= key <= xp.arange(T)[:, None]",
        "reads &= key <= xp.arange(T)[:, None] + 1",
        "a causal model that reads the token that it is to predict",
        "tests/test_sequence.py -k future",
    ),
    Mutant(
        "gru-gates-exchanged",
        "kernels/gates.py",
        "where(live > 0, n + z * (h - n), h)",
        "where(live > 0, h + z * (n - h), h)",
        "another cell than PyTorch's, with a gradient that is not its own",
        "tests/test_sequence.py -k 'gru and not pytorch'",
    ),
    Mutant(
        "gru-merged-bias",
        "kernels/gates.py",
        "return da_r, da_z, da_n, da_r, da_z, da_n * r,",
        "return da_r, da_z, da_n, da_r, da_z, da_n,",
        "a recurrent bias and matrix whose gradients leave out the reset gate",
        "tests/test_sequence.py -k 'gradients and gru'",
    ),
    Mutant(
        "lstm-padded-cell",
        "kernels/gates.py",
        "new = where(live > 0, f * c + i * g, c)",
        "new = f * c + i * g",
        "a memory that goes on changing behind the end of a sequence",
        "tests/test_sequence.py -k 'padded_step or padding'",
    ),
    Mutant(
        "embedding-assigns",
        "kernels/rows.py",
        "namespace(y).add.at(dR, unit, value[:, :, None] * y[:, None, :])",
        "dR[unit] = value[:, :, None] * y[:, None, :]",
        "on a backend without kernels, words that learn from one of their places in a batch",
        "tests/test_sequence.py -k names_one_row",
    ),
    # ---- games, and codes of few values
    Mutant(
        "adversarial-turn-moves-d",
        "minae/models/adversarial.py",
        "dh = self.d.backward(dt, d_cache, need_dW=False)",
        "dh = self.d.backward(dt, d_cache)",
        "a discriminator whose gradient has a part of the generator's turn",
        "tests/test_games.py -k 'turn'",
    ),
    Mutant(
        "adversarial-exchanged",
        "minae/models/adversarial.py",
        "L_D, dt_real, dt_fake = self.game.discriminator(t_real, t_fake)",
        "L_D, dt_fake, dt_real = self.game.discriminator(t_fake, t_real)",
        "a generator that moves codes away from the prior",
        "tests/test_games.py -k 'turn or prior'",
    ),
    Mutant(
        "turn-moves-all",
        "minae/training/loop.py",
        "optimizer.step(model.parameters, self.players[turn])",
        "optimizer.step(model.parameters)",
        "a turn whose weight decay or momentum moves the other players, too",
        "tests/test_protocol.py -k 'turn'",
    ),
    Mutant(
        "codebook-without-its-weight",
        "minae/symbols.py",
        "de = ws.multiply(ws.subtract(e, z0), 2 * weight / len(z))",
        "de = ws.multiply(ws.subtract(e, z0), 2 * beta / len(z))",
        "a codebook that learns by β, and stands still at β = 0",
        "tests/test_symbols.py",
    ),
    Mutant(
        "codebook-not-nearest",
        "minae/symbols.py",
        "(E * E).sum(axis=1) - 2 * kernels",
        "(E * E).sum(axis=1) - kernels",
        "codes that are not the nearest of the codebook",
        "tests/test_symbols.py",
    ),
    Mutant(
        "batch-top-k-in-use",
        "minae/symbols.py",
        "if support is None and mode.train:",
        "if support is None:",
        "a code that depends on the rows that are encoded with it",
        "tests/test_symbols.py",
    ),
    Mutant(
        "batch-top-k-threshold",
        "minae/symbols.py",
        "self.decay * self.threshold + (1 - self.decay) * least",
        "(1 - self.decay) * self.threshold + self.decay * least",
        "a threshold that jumps from batch to batch instead of being their mean",
        "tests/test_symbols.py",
    ),
    # ---- training
    Mutant(
        "checkpoint-checksum",
        "minae/files.py",
        "not isinstance(metadata, dict) or digest != _digest(tensors, metadata)",
        "not isinstance(metadata, dict)",
        "a file with a flipped bit that is loaded as if it were whole",
        "tests/test_training.py -k flipped_bit",
    ),
    Mutant(
        "checkpoint-stale-unverified",
        "minae/training/checkpoint.py",
        'for name in ("epoch", "position", "stale")}',
        'for name in ("epoch", "position")}',
        "a damaged count of bad epochs that patience goes on from",
        "tests/test_training.py -k verified",
    ),
    Mutant(
        "checkpoint-best-unverified",
        "minae/training/checkpoint.py",
        "expected |= {name: (array.shape, array.dtype) for name, array in self.finite.items()}",
        "expected |= {name: (tensors[name].shape, tensors[name].dtype) for name in self.finite}",
        "best parameters of another shape, which are found when a long run ends",
        "tests/test_training.py -k verified",
    ),
    Mutant(
        "diverged-keeps-nan",
        "minae/training/loop.py",
        "    except Diverged:\n        run.give_back()\n",
        "    except Diverged:\n",
        "a model of NaN after a training that diverged",
        "tests/test_training.py -k diverge",
    ),
    Mutant(
        "diverged-last-not-best",
        "minae/training/loop.py",
        "kept = self.best or self.finite",
        "kept = self.finite",
        "the last parameters where patience promises the best",
        "tests/test_training.py -k 'best'",
    ),
    Mutant(
        "last-step-unchecked",
        "minae/training/loop.py",
        "        self.check_last_step()\n",
        "",
        "a model that diverged in its last step and is returned as a good one",
        "tests/test_training.py tests/test_cli.py -k 'diverge'",
    ),
    Mutant(
        "patience-on-a-plateau",
        "minae/training/loop.py",
        "if J < self.best_J:",
        "if J <= self.best_J:",
        "a training that goes on for ever where nothing changes any more",
        "tests/test_training.py -k 'progress or early_stopping'",
    ),
    Mutant(
        "checkpoint-every-epoch",
        "minae/training/loop.py",
        "run.epoch % every == 0 or",
        "run.epoch % every >= 0 or",
        "a disk that is written to in each epoch, where one in ten was asked for",
        "tests/test_training.py -k checkpoint",
    ),
    Mutant(
        "average-first-steps",
        "minae/training/loop.py",
        "rest = 1 - min(self.decay, t / (10 + t))",
        "rest = 1 - self.decay",
        "an average that is mostly the random first parameters after a short training",
        "tests/test_regularizing.py -k average",
    ),
    Mutant(
        "average-not-validated",
        "minae/training/loop.py",
        "        if self.average is not None:\n            flat[...] = self.average\n        yield",
        "        yield",
        "a patience that judges θ, and a model that is the average",
        "tests/test_regularizing.py -k average",
    ),
    Mutant(
        "clip-by-value",
        "minae/training/optimizers.py",
        "dtheta *= limit / xp.maximum(norm, limit)",
        "xp.clip(dtheta, -limit, limit, out=dtheta)",
        "a clipping that turns the gradient into another direction",
        "tests/test_regularizing.py -k clipping",
    ),
    Mutant(
        "adam-uncorrected",
        "kernels/adam.py",
        "rate, correction = lr / (1 - decay1**t), 1 / math.sqrt(1 - decay2**t)",
        "rate, correction = lr, 1.0",
        "first steps of Adam that are three times as long as the learning rate says",
        "tests/test_optimizers.py",
    ),
    # ---- data, verbs and files
    Mutant(
        "split-leaks",
        "minae/data/batches.py",
        "self._part(np.sort(order[count:]))",
        "self._part(np.sort(order[count - 1 :]))",
        "a validation set of which a row is trained on",
        "tests/test_training.py -k held_out",
    ),
    Mutant(
        "preprocessing-not-saved",
        "minae/models/model.py",
        'words | {"preprocessing": self.preprocessing.described()}',
        'words | {"preprocessing": Preprocessing().described()}',
        "codes of data that are scaled in another way than those that the model learned from",
        "tests/test_cli.py -k 'divides_as or remembered'",
    ),
    Mutant(
        "preprocessing-not-copied",
        "minae/models/model.py",
        "        other.preprocessing = self.preprocessing\n",
        "",
        "a copy of a model that writes a file without the preprocessing",
        "tests/test_models.py tests/test_protocol.py -k 'copy'",
    ),
    Mutant(
        "preprocessing-not-pickled",
        "minae/models/model.py",
        "    model.preprocessing = preprocessing\n",
        "",
        "a model from another process that writes a file without the preprocessing",
        "tests/test_models.py tests/test_protocol.py -k 'copy'",
    ),
    Mutant(
        "weights-not-loaded",
        "minae/models/__init__.py",
        '        model.weights.update(metadata["weights"])\n',
        "",
        "a model from a file whose terms have other weights than when it was saved",
        "tests/test_models.py -k weights",
    ),
    Mutant(
        "threshold-negative",
        "minae/models/predictive_sparse.py",
        "            namespace(kappa).abs(kappa, out=kappa)\n",
        "            pass\n",
        "an encoder whose thresholds spread its codes instead of making them sparse",
        "tests/test_predictive_sparse.py -k 'norm_1 or threshold'",
    ),
    Mutant(
        "evaluate-as-in-training",
        "minae/models/model.py",
        '**how, mode="eval", need_grad=False)',
        '**how, mode="train", need_grad=False)',
        "a validation cost that depends on its batches, and has dropout in it",
        "tests/test_protocol.py -k 'mode or evaluation'",
    ),
    Mutant(
        "score-sign",
        "minae/models/autoencoder.py",
        "return -self.loss.rows(",
        "return self.loss.rows(",
        "outliers that are ranked as the best of the rows",
        "tests/test_models.py tests/test_cli.py -k score",
    ),
    Mutant(
        "evaluate-last-batch",
        "minae/models/model.py",
        "float(term) * len(index)",
        "float(term) * batch_size",
        "a cost in which the rows of the last, short batch count too much",
        "tests/test_models.py -k more_rows",
    ),
    Mutant(
        "labels-of-other-rows",
        "minae/data/batches.py",
        "batch |= column.take(name, index[column.field.domain])",
        "batch |= column.take(name, np.sort(index[column.field.domain]) if batch else index[column.field.domain])",
        "a classifier that learns the labels of other rows",
        "tests/test_fields.py -k paired",
    ),
]


def changed(mutant, root=ROOT):
    """The text of the mutant's file with the fault in it. Raises ValueError for one that is stale."""
    text = (root / mutant.file).read_text("utf-8")
    if (count := text.count(mutant.old)) != 1:
        raise ValueError(f"stale: its text stands {count} times in {mutant.file}, and once is expected")
    return text.replace(mutant.old, mutant.new)


class Copy:
    """The tree in a folder of its own, from which Python imports it."""

    def __init__(self, folder):
        self.root = Path(folder)
        compiled = shutil.ignore_patterns("__pycache__", "*.egg-info")
        for name in FOLDERS:
            shutil.copytree(ROOT / name, self.root / name, symlinks=True, ignore=compiled)
        for name in FILES:
            shutil.copy(ROOT / name, self.root)
        for name in ("kernels", "chapters"):  # as an installation has them: pyproject.toml's package-dir
            if not (self.root / "minae" / name).exists():
                (self.root / "minae" / name).symlink_to(Path("..") / name)
        # no .pyc files: Python tells them apart by seconds and sizes, and a fault may share both with its cure
        self.env = {**os.environ, "PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        where = "import minae, minae.kernels as k, minae.chapters as c; print(*(m.__file__ for m in (minae, k, c)))"
        files = self.run([sys.executable, "-c", where])[1].split()
        if len(files) != 3 or not all(Path(file).is_relative_to(self.root / "minae") for file in files):
            raise SystemExit(f"the copy in {self.root} is not what Python imports, but {files}")

    def run(self, command):
        """The exit status and the output; None where it takes too long."""
        options = dict(cwd=self.root, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        with subprocess.Popen(command, start_new_session=True, **options) as process:
            try:
                output, _ = process.communicate(timeout=SECONDS)
                return process.returncode, output
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # the tests' own processes, too
                return None, process.communicate()[0]

    @functools.cache  # noqa: B019  (there is one)
    def tests(self, arguments, mutant=None):
        """What pytest says of the tests with a fault, or without one: (exit status, the tests that failed, output)."""
        file = None if mutant is None else self.root / mutant.file
        if file:
            whole = file.read_text("utf-8")
            file.write_text(changed(mutant), "utf-8")
        options = "-x -q --no-header --tb=line -rfE -p no:cacheprovider".split()
        try:
            status, output = self.run([sys.executable, "-m", "pytest", *options, *shlex.split(arguments)])
        finally:
            if file:
                file.write_text(whole, "utf-8")
        return status, re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", output, re.MULTILINE), output


def outcome(mutant, copy):
    """(verdict, by): caught, and by which test; SURVIVED, and which tests passed; ERROR, and why."""
    try:
        changed(mutant)
    except ValueError as error:
        return "ERROR", str(error)
    status, failed, output = copy.tests(mutant.tests)
    if status != 0:
        return "ERROR", f"without the fault: {' '.join(failed) or output[-500:]}"
    status, failed, output = copy.tests(mutant.tests, mutant)
    if status == 0:
        return "SURVIVED", mutant.tests
    if status == 1 and failed and "::" in failed[0]:
        return "caught", failed[0]
    why = f"no result in {SECONDS} seconds" if status is None else f"pytest ended with {status}: {output[-500:]}"
    return "ERROR", why


def main(argv=None):
    parser = argparse.ArgumentParser(description="Put faults into a copy of the tree, and see which test catches each.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="faults whose names begin so; by default all")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    arguments = parser.parse_args(argv)
    chosen = [m for m in MUTANTS if not arguments.names or m.name.startswith(tuple(arguments.names))]
    if not chosen:
        parser.error(f"no fault has such a name: there are {', '.join(m.name for m in MUTANTS)}")
    counts = dict.fromkeys(("caught", "SURVIVED", "ERROR"), 0)
    with tempfile.TemporaryDirectory(prefix="minae-mutants-") as folder:
        copy = Copy(folder)
        for k, mutant in enumerate(chosen, start=1):
            start = time.monotonic()
            verdict, by = outcome(mutant, copy)
            counts[verdict] += 1
            seconds = round(time.monotonic() - start, 1)
            if arguments.json:
                words = dict(name=mutant.name, file=mutant.file, harm=mutant.harm, verdict=verdict, by=by)
                print(json.dumps({**words, "seconds": seconds}, ensure_ascii=False), flush=True)
            else:
                print(f"{k:3}/{len(chosen)} {seconds:6.1f} s  {verdict:8}  {mutant.name:28} {by}", flush=True)
                if verdict != "caught":
                    print(f"{'':27}{mutant.harm}", flush=True)
    if not arguments.json:
        print(f"{counts['caught']} of {len(chosen)} faults are caught")
    return 2 if counts["ERROR"] else int(counts["SURVIVED"] > 0)


if __name__ == "__main__":
    sys.exit(main())
