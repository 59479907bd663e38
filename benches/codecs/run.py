"""A codec beside Opus, MP3 and AAC at like bits: scale-invariant signal-to-distortion ratio in dB and kilobits a second, of the
first eight seconds of each recording, mono at 44.1 kHz. Files count with their containers; codes as they are, without what
a prior would save. Decoded sound is aligned to the original by cross-correlation, as encoders add delays.

Needed: ffmpeg with libopus and libmp3lame, numpy, soundfile. REFRAIN names the program, MODEL another codec than the one that
comes along. Usage: REFRAIN=target/release/refrain python3 benches/codecs/run.py RECORDING..
"""

import os
import statistics
import subprocess
import sys
import tempfile

import numpy as np
import soundfile

REFRAIN = os.path.abspath(os.environ.get("REFRAIN", "target/release/refrain"))
MODEL = ["--model", os.path.abspath(os.environ["MODEL"])] if "MODEL" in os.environ else []
RATE, SECONDS, FARTHEST = 44_100, 8, 3000
OTHERS = [
    ("Opus 60.6k", "opus", ["-c:a", "libopus", "-b:a", "60.6k"]),
    ("MP3 64k", "mp3", ["-c:a", "libmp3lame", "-b:a", "64k"]),
    ("AAC 60.6k", "m4a", ["-c:a", "aac", "-b:a", "60.6k"]),
    ("Opus 15.2k", "opus", ["-c:a", "libopus", "-b:a", "15.2k"]),
    ("MP3 16k", "mp3", ["-c:a", "libmp3lame", "-b:a", "16k", "-ar", "22050"]),
    ("AAC 15.2k", "m4a", ["-c:a", "aac", "-b:a", "15.2k"]),
    ("Opus 6k", "opus", ["-c:a", "libopus", "-b:a", "6k"]),
]


def call(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def si_sdr(x, y):
    n = min(len(x), len(y))
    x, y = x[:n], y[:n]
    size = 1 << (2 * n - 1).bit_length()
    alike = np.fft.irfft(np.fft.rfft(y, size) * np.conj(np.fft.rfft(x, size)), size)
    lags = np.r_[0:FARTHEST, -FARTHEST:0]
    lag = lags[np.argmax(alike[lags])]
    x, y = (x[: n - lag], y[lag:]) if lag > 0 else (x[-lag:], y[: n + lag])
    gain = (x @ y) / (x @ x)
    error = y - gain * x
    return 10 * np.log10(gain * gain * (x @ x) / (error @ error))


def main():
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for number, recording in enumerate(RECORDINGS):
            original = f"{number}.wav"
            form = ["-ac", "1", "-ar", str(RATE)]
            call("ffmpeg", "-y", "-i", recording, "-t", str(SECONDS), *form, "-c:a", "pcm_s16le", original)
            x, _ = soundfile.read(original)
            for name, ending, options in OTHERS:
                coded = f"coded.{ending}"
                call("ffmpeg", "-y", "-i", original, *options, coded)
                call("ffmpeg", "-y", "-i", coded, *form, "back.wav")
                y, _ = soundfile.read("back.wav")
                kilobits = os.path.getsize(coded) * 8 * RATE / len(x) / 1000
                figures.setdefault(name, []).append((si_sdr(x, y), kilobits))
            call(REFRAIN, "encode", original, "--out", "codes", *MODEL)
            for level in range(8):
                command = [REFRAIN, "decode", f"codes/{number}.parquet", "--out", f"level{level}", "--level", str(level), *MODEL]
                if subprocess.run(command, capture_output=True).returncode:
                    break
                y, _ = soundfile.read(f"level{level}/{number}.wav")
                figures.setdefault(f"level {level}", []).append((si_sdr(x, y), None))
    for name, all_of in figures.items():
        ratios = [ratio for ratio, _ in all_of]
        known = [kilobits for _, kilobits in all_of if kilobits is not None]
        kilobits = f"{statistics.mean(known):6.1f} kbit/s" if known else ""
        each = " ".join(f"{ratio:6.1f}" for ratio in ratios)
        print(f"{name:<12} {kilobits:<13}  median {statistics.median(ratios):6.1f} dB  {each}")


RECORDINGS = [os.path.abspath(path) for path in sys.argv[1:]]
main()
