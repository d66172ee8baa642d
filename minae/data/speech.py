r"""Speech: spoken digits, .wav files, and the way from a wave to its log-mel frames and back.

A wave has 8,000 numbers a second, and neighbouring ones hardly say anything by themselves. What an ear hears are
frequencies, and how strong each is at a time. So a wave w becomes a sequence of frames x_t, one every 10 ms:

    w ← (w − mean w) / rms                          no constant part, and every recording equally loud
    S_tk = Σ_j hann_j w_{tH+j−N/2} e^{−2πi jk/N}    short-time Fourier transform, N = 256, a frame every H = 80 samples
    P = |S|² / Σ_j hann_j²                          the power at frequency k, in the mean 1 for white noise of rms 1
    x = 5 + log₁₀ max(P M, 10⁻⁵)                    M sums P over 32 bands (mel), each weighed to a mean

x is in bels (10 dB) above a floor that lies 50 dB below the mean level, so x ≥ 0, and 0 is silence. The bands are
equally wide on the mel scale, 2595 log₁₀(1 + f/700), on which equal steps sound equal: they are narrow below 1 kHz and
wide above.

The way back has to invent two things. M adds frequencies up, and its pseudo-inverse spreads them again. And x has no
phase. Griffin and Lim (1984) find one: they take a wave with the given |S| and a random phase, transform it and
transform it back, keep the phase that comes out, put the given |S| in again, and so on. The part of |S| that no wave
has becomes smaller at each round.
"""

import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import files, options
from ..errors import InputError
from ..fields import host_array
from .idx import at_home, one_line

SAMPLE = Path(__file__).with_name("speech_sample.npz")
FULL = ("speech_digits/fsdd_speakers012.npz", "speech_digits/fsdd_speakers345.npz")
RATE, WINDOW, HOP, BANDS, FLOOR = 8000, 256, 80, 32, 5.0  # floor: bels below the mean level


class Speech(NamedTuple):
    """Spoken digits. waves: a list of float32 arrays in [−1, 1], 8,000 numbers a second;  digit, speaker, take: (n,),
    each from 0 on;  speakers: their names"""

    waves: list[np.ndarray]
    digit: np.ndarray
    speaker: np.ndarray
    take: np.ndarray
    speakers: list[str]


@options.door(full=options.Flag())
def spoken_digits(full: bool = False) -> Speech:
    """Ten digits, spoken by six men (Free Spoken Digit Dataset), as `Speech`: 240 recordings, which ship with minae,
    takes 0, 5, 6 and 7 of each; or with `full` the 2,400 of takes 0 to 39 from the folder `$MINAE_DATA`. Takes 0 to 4
    are for tests."""
    folder, paths = os.environ.get("MINAE_DATA"), [SAMPLE]
    if full:
        paths = [at_home(folder) / name for name in FULL] if folder else []
        missing = "MINAE_DATA is not set" if not folder else ", ".join(str(p) for p in paths if not p.is_file())
        if missing:
            raise InputError(f"there is no full set of spoken digits ({missing}): put {' and '.join(FULL)} into the "
                             "folder MINAE_DATA, or use the sample, full=False")  # fmt: skip
    waves: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    speakers: list[str] = []
    for path in paths:
        try:
            with np.load(path, allow_pickle=False) as a:
                samples = a["samples"] if full else (a["high"].astype(np.int16) << 8) | a["low"]
                parts = np.split(samples, a["offsets"][1:-1])
                labels.append(np.stack([a[name].astype(int) for name in ("digit", "speaker", "take")]))
                speakers = [str(name) for name in a["speaker_names"]]
        except Exception as e:  # NumPy raises anything on a damaged file
            raise InputError(f"cannot read {str(path)!r}: {one_line(e)}; copy it again") from e
        waves += [part.astype(np.float32) / 32768 for part in parts]
    digit, speaker, take = np.concatenate(labels, axis=1)
    return Speech(waves, digit, speaker, take, speakers)


@options.door(path=options.File())
def read_wav(path: str | os.PathLike[str]) -> np.ndarray:
    """The wave of a .wav file: float32 in [−1, 1], one channel, 8,000 numbers a second, whatever the file has."""
    import warnings

    from scipy.io import wavfile
    from scipy.signal import resample_poly

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of chunks that hold words beside the sound
            rate, wave = wavfile.read(at_home(path))
    except Exception as e:  # SciPy raises anything on a damaged file
        raise InputError(f"cannot read {os.fspath(path)!r} as .wav: {one_line(e)}; check the path and the file") from e
    if wave.dtype.kind in "iu":
        middle, half = (128, 128) if wave.dtype == np.uint8 else (0, -float(np.iinfo(wave.dtype).min))
        wave = (wave.astype(np.float32) - middle) / half
    wave = wave.astype(np.float32).reshape(len(wave), -1).mean(axis=1)
    wave = wave if rate == RATE else resample_poly(wave, RATE, rate).astype(np.float32)
    return _wave(wave, os.fspath(path))


@options.door(path=options.File())
def recordings(path: str | os.PathLike[str]) -> list[np.ndarray]:
    """The log-mel frames of a .wav, or of each of the .wav of a folder in the order of their names: a list of (T,
    32)."""
    path = at_home(path)
    paths = sorted(p for p in path.iterdir() if p.suffix.lower() == ".wav") if path.is_dir() else [path]
    if not paths:
        raise InputError(f"the folder {str(path)!r} holds no .wav: expected a recording, or a folder of recordings")
    if sys.stderr is not None and sys.stderr.isatty():
        from tqdm.auto import tqdm

        paths = tqdm(paths, unit=" recordings", delay=0.5, leave=False)
    return [log_mel(read_wav(path)) for path in paths]


@options.door(path=options.File())
def write_wav(path: str | os.PathLike[str], wave: Any) -> None:
    """Write a wave of 8,000 numbers a second in [−1, 1] as a .wav file of 16 bits; what lies outside is clipped."""
    from io import BytesIO

    from scipy.io import wavfile

    out, wave = BytesIO(), _wave(wave, "wave")
    wavfile.write(out, RATE, np.round(32767 * np.clip(wave, -1, 1)).astype(np.int16))
    files.replace(Path(path), out.getvalue())


def log_mel(wave: Any) -> np.ndarray:
    """The frames of a wave, see the head of this module:  (samples,) -> (T, 32) float32, one every 10 ms, ≥ 0."""
    wave, _ = _loud(_wave(wave, "wave"))
    power = np.abs(_stft(wave)) ** 2 / _unit()
    return (FLOOR + np.log10(np.maximum(power @ mel_bands(), 10.0**-FLOOR))).astype(np.float32)


@options.door(rounds=options.Count(), seed=options.Count(lowest=0))
def griffin_lim(x: Any, rounds: int = 60, rms: float = 0.1, seed: int = 0) -> np.ndarray:
    """A wave whose frames are about x: (T, 32) -> (80 (T − 1),), with this rms. Griffin and Lim's algorithm; the first
    phase is random."""
    x = host_array(x, "x").astype(np.float64)
    if x.ndim != 2 or x.shape[1] != BANDS or not len(x):
        raise InputError(f"x has shape {x.shape}: expected frames (T, {BANDS}), as log_mel gives them")
    x = x if len(x) > 4 else np.pad(x, ((0, 5 - len(x)), (0, 0)))  # a window is longer than three steps
    power = np.where(x > 0, 10.0 ** (x - FLOOR), 0) @ np.linalg.pinv(mel_bands())
    size = np.sqrt(np.maximum(power, 0) * _unit())
    phase = np.random.default_rng(seed).uniform(-np.pi, np.pi, size.shape)
    S = size * np.exp(1j * phase)
    for _ in range(rounds):
        again = _stft(_istft(S))
        S = size * np.exp(1j * np.angle(again))
    wave, _ = _loud(_istft(S))
    return (rms * wave).astype(np.float32)


def mel_bands() -> np.ndarray:
    """M, (129, 32): the triangles of the mel scale from 60 Hz to 4 kHz, the weights of a band with the sum 1."""
    lowest, highest = 2595 * np.log10(1 + np.array([60, RATE / 2]) / 700)
    mel = np.linspace(lowest, highest, BANDS + 2)
    f, edges = np.arange(WINDOW // 2 + 1) * RATE / WINDOW, 700 * (10 ** (mel / 2595) - 1)
    rising = (f[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - f[:, None]) / np.diff(edges)[1:]
    M = np.maximum(0, np.minimum(rising, falling))
    return M / M.sum(axis=0)


def band_centres() -> np.ndarray:
    """The frequencies in Hz at which the bands are strongest, (32,)."""
    lowest, highest = 2595 * np.log10(1 + np.array([60, RATE / 2]) / 700)
    mel = np.linspace(lowest, highest, BANDS + 2)
    return 700 * (10 ** (mel[1:-1] / 2595) - 1)


def _wave(wave, name):
    wave = host_array(wave, name)
    if wave.ndim != 1 or wave.dtype.kind != "f" or len(wave) < WINDOW or not np.isfinite(wave).all():
        raise InputError(
            f"{name} has {wave.dtype} {wave.shape}: expected at least {WINDOW} finite numbers, {RATE} of them a second"
        )
    return wave


def _loud(wave):
    """The wave without its mean, with an rms of 1; and the rms that it had. Silence stays silence."""
    wave = np.asarray(wave, np.float64) - np.mean(wave, dtype=np.float64)
    rms = np.sqrt(np.mean(wave**2))
    return wave / (rms if rms > 1e-8 else 1.0), rms


def loudness(wave: Any) -> float:
    """The rms of a wave without its mean."""
    return float(_loud(_wave(wave, "wave"))[1])


def _window():
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)


def _unit():
    """The power that noise of rms 1 has at each frequency: SciPy divides S by Σ hann."""
    return np.square(_window()).sum() / _window().sum() ** 2


def _stft(wave):
    """(T, 129), frame t around sample 80 t, T = ⌈samples/80⌉ + 1."""
    from scipy.signal import stft

    return stft(wave, RATE, _window(), WINDOW, WINDOW - HOP)[2].T


def _istft(S):
    from scipy.signal import istft

    return istft(S.T, RATE, _window(), WINDOW, WINDOW - HOP)[1]
