"""C.1 Feature Disentanglement and Voice Conversion, exercise 2: statistics over the batch.

With μ and σ over the batch and the time, every recording loses the same μ. A constant k of a speaker stays what it was
but for the mean over the speakers, and a linear reader finds him. With μ over the time of each recording it is gone,
whatever it was: x + k and x have the same x̂.
"""

# %%
import numpy as np

from minae.chapters import Section
from minae.metrics.probe import probe_error

section = Section("C.1", exercise=2)
rng = np.random.default_rng(section.seed)
speakers, rows = 6, 600
bands, T = 8, 40
k = rng.standard_normal((speakers, bands))
speaker = rng.integers(speakers, size=rows)
x = 2 * rng.standard_normal((rows, T, bands)) + k[speaker][:, None]

# %%
found, half = {}, rows // 2
for name, axes in (("the batch", (0, 1)), ("each recording", (1,))):
    x_hat = (x - x.mean(axis=axes, keepdims=True)) / x.std(axis=axes, keepdims=True)
    h = x_hat.reshape(rows, -1).astype(np.float32)
    error = probe_error(h[:half], speaker[:half], h[half:], speaker[half:], seed=section.seed, epochs=30)
    found[name] = section.number("speaker found by a linear reader, %", 100 - error, of=f"statistics over {name}")
chance = 100 / speakers
section.claim("over the batch the speaker stays: points above chance", found["the batch"] - chance, ">", 30)
section.claim("over each recording he is gone: points above chance", found["each recording"] - chance, "<", 10)

section.finish()
