"""minae.data.speech: from a wave to frames and back; VoiceAutoencoder; recordings on the command line."""

import json

import numpy as np
import pytest

from minae import InputError, VoiceAutoencoder, cli, data, load
from minae.data import speech
from minae.training import Adam

SAMPLE = data.spoken_digits()


def recordings(rng, n=3, lengths=(9, 4, 7)):
    return [rng.standard_normal((T, n)).astype(np.float32) for T in lengths]


# ---------------------------------------------------------------------------------------------- waves and frames
def test_the_sample():
    assert len(SAMPLE.waves) == 240 and speech.SAMPLE.stat().st_size < 1.2e6
    assert sorted(set(SAMPLE.take)) == [0, 5, 6, 7] and np.bincount(SAMPLE.speaker).tolist() == [40] * 6
    assert np.bincount(SAMPLE.digit).tolist() == [24] * 10 and len(SAMPLE.speakers) == 6
    assert all(wave.dtype == np.float32 and abs(wave).max() <= 1 and len(wave) > 1000 for wave in SAMPLE.waves)


def test_frames_do_not_hear_loudness_nor_a_constant():
    wave = SAMPLE.waves[0]
    x = data.log_mel(wave)
    assert x.shape == (-(-len(wave) // 80) + 1, 32) and x.dtype == np.float32 and x.min() >= 0
    np.testing.assert_allclose(data.log_mel(0.3 * wave - 0.1), x, atol=1e-4)
    assert abs(data.log_mel(wave**2) - x).max() > 0.5  # the control: another wave has other frames
    assert not data.log_mel(np.zeros(500)).any()


def test_a_tone_lies_in_its_band():
    t, centres = np.arange(8000) / 8000, speech.band_centres()
    for band in (5, 15, 25):
        x = data.log_mel(np.sin(2 * np.pi * centres[band] * t))
        assert set(x[5:-5].argmax(axis=1)) == {band}
    assert np.allclose(speech.mel_bands().sum(axis=0), 1)


def test_white_noise_has_a_level_of_0(rng):
    assert abs(data.log_mel(rng.standard_normal(80_000)).mean() - speech.FLOOR) < 0.15


def test_griffin_and_lim_find_a_wave_with_these_frames():
    x = data.log_mel(SAMPLE.waves[3])
    wave = data.griffin_lim(x, rms=0.2)
    assert np.sqrt(np.mean(wave**2)) == pytest.approx(0.2, rel=1e-3)
    again = data.log_mel(wave)
    assert again.shape == x.shape and np.sqrt(np.mean((again - x) ** 2)) < 0.4
    assert len(data.griffin_lim(x[:1])) > 0  # a recording shorter than a window


def test_wav_files_come_back(tmp_path, rng):
    from scipy.io import wavfile

    wave = 0.5 * np.sin(np.arange(4000) / 5).astype(np.float32)
    data.write_wav(tmp_path / "a.wav", wave)
    np.testing.assert_allclose(data.read_wav(tmp_path / "a.wav"), wave, atol=1e-4)
    for name, rate, samples in (
        ("stereo", 8000, np.stack([wave, wave], axis=1)),
        ("bytes", 8000, np.round(127 * wave + 128).astype(np.uint8)),
        ("fast", 16000, np.repeat(wave, 2)),
    ):
        wavfile.write(tmp_path / f"{name}.wav", rate, samples)
        read = data.read_wav(tmp_path / f"{name}.wav")
        assert len(read) == 4000 and abs(read - wave)[50:-50].max() < 0.06, name
    frames = data.Preprocessing.of(tmp_path, recordings=True)[0]
    assert len(frames) == 4 and np.array_equal(data.read(tmp_path), np.concatenate(frames))


def test_what_is_refused(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="expected at least 256 finite numbers"):
        data.log_mel(np.zeros(100))
    with pytest.raises(InputError, match=r"expected frames \(T, 32\)"):
        data.griffin_lim(np.zeros((5, 3)))
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError, match=r"cannot read .*bad\.wav.* as \.wav"):
        data.read_wav(tmp_path / "bad.wav")
    with pytest.raises(InputError, match=r"holds no \.wav"):
        speech.recordings(_empty(tmp_path))
    with pytest.raises(InputError, match="which has no scale"):
        data.Preprocessing.of(tmp_path / "bad.wav", scale=2, recordings=True)
    monkeypatch.delenv("MINAE_DATA", raising=False)
    with pytest.raises(InputError, match="MINAE_DATA is not set"):
        data.spoken_digits(full=True)


def _empty(folder):
    (folder / "empty").mkdir()
    return folder / "empty"


# ---------------------------------------------------------------------------------------------- the model
def test_a_recording_is_the_same_in_company(backend, rng):
    model = VoiceAutoencoder(bands=3, hidden=5, content=2, speaker=4, backend=backend, dtype="float64")
    X = recordings(rng)
    for verb in (model.encode, model.speakers, model.reconstruct, lambda X: model.convert(X, np.ones(4))):
        for together, x in zip(verb(X), X, strict=True):
            np.testing.assert_allclose(together, verb([x])[0], rtol=1e-10, atol=1e-12)
    cost = [model.evaluate([x])["L"] for x in X]
    assert model.evaluate(X)["L"] == pytest.approx(np.mean(cost), rel=1e-10)
    r = model.reconstruct(X)
    assert cost[0] == pytest.approx(0.5 * np.square(r[0] - X[0]).sum(), rel=1e-6)


def test_the_content_has_no_mean_and_no_deviation_of_its_own(rng):
    """And without normalisation it has: the control."""
    X = recordings(rng, lengths=(40, 30, 50))
    for normalized in (True, False):
        c = VoiceAutoencoder(bands=3, content=4, hidden=5, normalized=normalized).encode(X)
        means = np.array([[abs(h.mean(axis=0)).max(), abs(h.std(axis=0) - 1).max()] for h in c])
        assert (means.max() < 1e-3) == normalized


def test_the_voice_comes_from_the_other_recording(rng):
    model = VoiceAutoencoder(bands=3, hidden=5, content=2, speaker=4, dtype="float64")
    X, others = recordings(rng), recordings(rng, lengths=(5, 8, 6))
    r = model.convert(X, model.speakers(others))
    expected = np.mean([0.5 * np.square(a - b).sum() for a, b in zip(r, X, strict=True)])
    assert model.evaluate(X, other=others)["L"] == pytest.approx(expected, rel=1e-6)


def test_detail_is_kept(rng):
    """From a voice to itself nothing changes, whatever g can say; and the difference of two voices is that of g."""
    model = VoiceAutoencoder(bands=3, hidden=5, content=2, speaker=4, dtype="float64")
    X, v, w = recordings(rng), rng.standard_normal(4), rng.standard_normal((3, 4))
    for r, x in zip(model.convert(X, w, w), X, strict=True):
        np.testing.assert_array_equal(r, x)
    for r, x, there, here in zip(model.convert(X, v, w), X, model.convert(X, v), model.convert(X, w), strict=True):
        np.testing.assert_allclose(r - x, there - here, rtol=1e-10, atol=1e-12)


def test_it_learns(rng):
    X = [data.log_mel(wave) / 3 - 1 for wave in SAMPLE.waves[:24]]
    model = VoiceAutoencoder(hidden=16, content=4, seed=1)
    before = model.evaluate(X)["L"]
    model.fit(X, epochs=15, batch_size=8, optimizer=Adam(5e-3), progress=False)
    assert model.evaluate(X)["L"] < 0.4 * before


def test_the_command_line_trains_and_converts(tmp_path, capsys):
    for k in range(6):
        data.write_wav(tmp_path / f"{k}.wav", SAMPLE.waves[40 * k])
    file, out = str(tmp_path / "v.safetensors"), str(tmp_path / "out" / "c.wav")
    (tmp_path / "out").mkdir()
    given = ["train", str(tmp_path), "--model", "voice", "--hidden", "8", "--standardise", "--epochs", "2", "-o", file]
    assert cli.main(given) == 0
    assert load(file).preprocessing.mean.shape == (32,)
    capsys.readouterr()
    wavs = [str(tmp_path / f"{k}.wav") for k in (0, 1)]
    assert cli.main(["convert", file, *wavs, "-o", out, "--detail"]) == 0
    assert capsys.readouterr().out == f"saved {out}\n"
    assert cli.main(["convert", file, *wavs, "-o", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == len(data.log_mel(SAMPLE.waves[0]))
    rms = [speech.loudness(data.read_wav(path)) for path in (out, wavs[0])]
    assert rms[0] == pytest.approx(rms[1], rel=0.02)
    assert cli.main(["convert", file, *wavs, "-o", str(tmp_path / "c.mp3")]) != 0
    assert "must end in .wav" in capsys.readouterr().err
    frames = [
        "train",
        str(tmp_path),
        "--sizes",
        "8",
        "--standardise",
        "--loss",
        "gaussian",
        "--epochs",
        "1",
        "-o",
        file,
    ]
    assert cli.main(frames) == 0  # for other models the frames are the rows
    assert cli.main(["convert", file, *wavs, "-o", out]) != 0
    assert "has no `convert`" in capsys.readouterr().err
