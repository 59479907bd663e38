"""Makes the second published codec of the tests, and what a plain network computes with it, in numpy alone.

    python scripts/published_codec.py stages/tests/published

Stereo, three levels, strides of 2, 3 and 4, under the authors' names and under those of the port in transformers. All weights
are numbers that bf16 and f16 hold exactly, so that the three files below are one codec:

    codec.pth               what torch.save writes since PyTorch 1.6: a zip archive; 32-bit floats, the authors' names
    codec.pth.tar           what it wrote before: a stream of pickles; f16, the authors' names, codebooks saved as views
    codec.bf16.safetensors  bf16, the names of transformers, beside a tensor of another model
    expected.safetensors    codes.L of the input of `sound`, and recon.L, parts of what level L's decoder makes of them

Networks are loops over taps in 64-bit floats. Nothing of PyTorch is needed: its pickles name a few functions, which stand-ins
below are called like.
"""

import collections
import io
import json
import pickle
import struct
import sys
import types
import zipfile
from pathlib import Path

import numpy as np

CHANNELS, WIDTH, DEPTH, GROWTH, DIM, WORDS, RATE = 2, 6, 2, 3, 5, 64, 22050
# Convolutions with a stride in each block, and the stride of the block.
LEVELS = [([1, 1], [3, 2]), ([1, 1, 1], [3, 2, 4]), ([1, 2, 1, 1], [3, 2, 4, 4])]
FRAMES = 192 * 100
# Frames of a reconstruction that are kept: the beginning, and where tiles meet.
KEPT = [(0, 768), (16_128, 16_896)]


def hop(level):
    downs, strides = LEVELS[level]
    return int(np.prod([s**d for d, s in zip(downs, strides)]))


def sound():
    """[channels, frames]: chirps of whole numbers, the same anywhere."""
    t = np.arange(FRAMES, dtype=np.int64)
    return np.stack([((t * t * (7 + 4 * c) // 64 + 13 * t * c) % 2048) / 2048.0 - 0.5 for c in range(CHANNELS)])


def exact(x):
    """The nearest numbers that bf16 holds and that are normal numbers of f16."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    rounded = ((bits + 0x8000) & 0xFFFF0000).view(np.float32)
    return np.where(np.abs(rounded) < 2.0**-14, np.float32(0), rounded)


def conv(x, w, b, stride=1, pad=0, dilation=1):
    """x [in, time], w [out, in, taps]; one frame less of padding behind where the stride is odd falls away by itself."""
    taps = w.shape[2]
    x = np.pad(x, ((0, 0), (pad, pad)))
    frames = (x.shape[1] - dilation * (taps - 1) - 1) // stride + 1
    y = np.repeat(b[:, None].astype(np.float64), frames, 1)
    for k in range(taps):
        y += w[:, :, k].astype(np.float64) @ x[:, k * dilation :][:, : stride * (frames - 1) + 1 : stride]
    return y


def transposed(x, w, b, stride):
    """x [in, time], w [in, out, taps], to `stride` times as many frames."""
    frames, taps, pad = x.shape[1], w.shape[2], (stride + 1) // 2
    y = np.zeros((w.shape[1], (frames - 1) * stride + taps))
    for k in range(taps):
        y[:, k : k + stride * (frames - 1) + 1 : stride] += w[:, :, k].astype(np.float64).T @ x
    return y[:, pad : pad + frames * stride] + b[:, None]


def residual(x, t, name, dilation):
    h = conv(np.maximum(x, 0), t[name + ".model.1.weight"], t[name + ".model.1.bias"], 1, dilation, dilation)
    return x + conv(np.maximum(h, 0), t[name + ".model.3.weight"], t[name + ".model.3.bias"])


def encode(x, t, level):
    downs, strides = LEVELS[level]
    for block, (down, stride) in enumerate(zip(downs, strides)):
        base = f"encoders.{level}.level_blocks.{block}.model"
        for i in range(down):
            x = conv(x, t[f"{base}.{i}.0.weight"], t[f"{base}.{i}.0.bias"], stride, (stride + 1) // 2)
            for d in range(DEPTH):
                x = residual(x, t, f"{base}.{i}.1.model.{d}", GROWTH**d)
        x = conv(x, t[f"{base}.{down}.weight"], t[f"{base}.{down}.bias"], 1, 1)
    return x


def decode(x, t, level):
    downs, strides = LEVELS[level]
    for block, (down, stride) in reversed(list(enumerate(zip(downs, strides)))):
        base = f"decoders.{level}.level_blocks.{block}.model"
        x = conv(x, t[f"{base}.0.weight"], t[f"{base}.0.bias"], 1, 1)
        for i in range(1, down + 1):
            for d in range(DEPTH):
                x = residual(x, t, f"{base}.{i}.0.model.{d}", GROWTH ** (DEPTH - 1 - d))
            x = transposed(x, t[f"{base}.{i}.1.weight"], t[f"{base}.{i}.1.bias"], stride)
    return conv(x, t[f"decoders.{level}.out.weight"], t[f"decoders.{level}.out.bias"], 1, 1)


def names():
    """The authors' name, the name in transformers and the shape of every weight; a bias follows its weight."""
    for level, (downs, strides) in enumerate(LEVELS):
        for part, blocks in [("encoders", "downsample_block"), ("decoders", "upsample_block")]:
            ahead = int(part == "decoders")
            for block, (down, stride) in enumerate(zip(downs, strides)):
                ours, port = (f"{part}.{level}.level_blocks.{block}.{x}" for x in ("model", blocks))
                for i in range(down):
                    at = 2 * i
                    for d in range(DEPTH):
                        there = f"{port}.{at + 1 - ahead}.resnet_block.{d}"
                        here = f"{ours}.{i + ahead}.{1 - ahead}.model.{d}.model"
                        yield f"{here}.1", f"{there}.conv1d_1", (WIDTH, WIDTH, 3)
                        yield f"{here}.3", f"{there}.conv1d_2", (WIDTH, WIDTH, 1)
                    if part == "encoders":
                        inner = WIDTH if i else (DIM if block else CHANNELS)
                        yield f"{ours}.{i}.0", f"{port}.{at}", (WIDTH, inner, 2 * stride)
                    else:
                        outer = DIM if i + 1 == down else WIDTH
                        yield f"{ours}.{i + 1}.1", f"{port}.{at + 1}", (WIDTH, outer, 2 * stride)
                base = f"{part}.{level}.level_blocks.{block}"
                if part == "encoders":
                    yield f"{ours}.{down}", f"{base}.proj_out", (DIM, WIDTH, 3)
                else:
                    yield f"{ours}.0", f"{base}.proj_in", (WIDTH, DIM, 3)
        yield f"decoders.{level}.out", f"decoders.{level}.out", (CHANNELS, DIM, 3)


def weights():
    """Tensors by the authors' names, and the names of transformers by those."""
    random, tensors, port = np.random.default_rng(7), {}, {}
    for ours, theirs, shape in names():
        turned = ".level_blocks." in ours and ours.startswith("decoders") and shape[2] % 2 == 0 and shape[2] > 1
        out = shape[1] if turned else shape[0]
        fan = shape[0] * 2 if turned else shape[1] * shape[2]
        tensors[ours + ".weight"] = exact(random.uniform(-1.6, 1.6, shape) / np.sqrt(fan))
        tensors[ours + ".bias"] = exact(random.uniform(-0.1, 0.1, out))
        port[ours + ".weight"], port[ours + ".bias"] = theirs + ".weight", theirs + ".bias"
    for level in range(len(LEVELS)):
        z = encode(sound(), tensors, level)
        chosen = random.permutation(z.shape[1])[:WORDS]
        book = z.T[chosen] + random.normal(0, 0.05 * z.std(), (WORDS, DIM))
        tensors[f"bottleneck.level_blocks.{level}.k"] = exact(book)
        port[f"bottleneck.level_blocks.{level}.k"] = f"bottleneck.level_blocks.{level}.codebook"
    return tensors, port


def nearest(z, book):
    distance = ((z.T[:, None, :] - book[None].astype(np.float64)) ** 2).sum(2)
    return distance.argmin(1).astype(np.int32)


class Storage:
    """A storage to be named in a pickle."""

    def __init__(self, kind, key, data):
        self.kind, self.key, self.data = kind, key, data


def stand_in(module, name):
    made = sys.modules.setdefault(module, types.ModuleType(module))
    setattr(made, name, type(name, (), {"__module__": module, "__qualname__": name}))
    return getattr(made, name)


class Tensor:
    def __init__(self, storage, offset, shape, strides):
        self.arguments = (storage, offset, shape, strides, False, collections.OrderedDict())

    def __reduce__(self):
        return REBUILD, self.arguments


def rebuild(*_):
    raise AssertionError("only named")


sys.modules["torch"], sys.modules["torch._utils"] = types.ModuleType("torch"), types.ModuleType("torch._utils")
rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
sys.modules["torch._utils"]._rebuild_tensor_v2 = REBUILD = rebuild
FLOAT, HALF = stand_in("torch", "FloatStorage"), stand_in("torch", "HalfStorage")


def pickled(value, view):
    out = io.BytesIO()
    pickler = pickle.Pickler(out, 2)
    pickler.persistent_id = lambda x: (
        ("storage", x.kind, x.key, "cpu", x.data.size, *view) if isinstance(x, Storage) else None
    )
    pickler.dump(value)
    return out.getvalue()


def archive(tensors):
    storages = {name: Storage(FLOAT, str(i), data) for i, (name, data) in enumerate(tensors.items())}
    rows = lambda shape: tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
    state = collections.OrderedDict(
        (name, Tensor(storages[name], 0, data.shape, rows(data.shape))) for name, data in tensors.items()
    )
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    hps = {"sr": RATE, "dilation_growth_rate": GROWTH, "levels": len(LEVELS), "commit": 0.02, "train": True, "name": "vqvae"}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as z:
        put = lambda name, data: z.writestr(zipfile.ZipInfo(f"codec/{name}"), data)
        put("data.pkl", pickled({"hps": hps, "model": state, "opt": None, "step": 1_000_000_007}, ()))
        put("byteorder", b"little")
        for storage in storages.values():
            put(f"data/{storage.key}", storage.data.astype("<f4").tobytes())
        put("version", b"3\n")
    return out.getvalue()


def stream(tensors):
    # Codebooks are the transpose of what lies in the storage, and begin behind an element of something else.
    state, storages = collections.OrderedDict(), []
    for number, (name, data) in enumerate(tensors.items()):
        key, book = str(94_000_000_000 + number), name.endswith(".k")
        held = np.concatenate([[9.0], data.T.reshape(-1)]) if book else data.reshape(-1)
        storages.append(Storage(HALF, key, held.astype(np.float16)))
        strides = (1, len(data)) if book else tuple(int(np.prod(data.shape[i + 1 :])) for i in range(data.ndim))
        state["module." + name] = Tensor(storages[-1], int(book), data.shape, strides)
    facts = dict(protocol_version=1001, little_endian=True, type_sizes=dict(short=2, int=4, long=4))
    out = b"".join(pickled(x, (None,)) for x in (0x1950A86A20F9469CFC6C, 1001, facts, {"model": state}))
    out += pickled(sorted(storage.key for storage in storages), ())
    for storage in sorted(storages, key=lambda storage: storage.key):
        out += struct.pack("<q", storage.data.size) + storage.data.astype("<f2").tobytes()
    return out


def safetensors(tensors):
    """name: (type, shape, bytes)."""
    header, data = {}, b""
    for name, (kind, shape, raw) in tensors.items():
        header[name] = dict(dtype=kind, shape=list(shape), data_offsets=[len(data), len(data) + len(raw)])
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def main(folder):
    tensors, port = weights()
    x, expected = sound(), {}
    for level in range(len(LEVELS)):
        book = tensors[f"bottleneck.level_blocks.{level}.k"]
        codes = nearest(encode(x, tensors, level), book)
        y = decode(book[codes].T.astype(np.float64), tensors, level)
        kept = np.concatenate([y[:, start:end] for start, end in KEPT], 1).astype("<f4")
        expected[f"codes.{level}"] = ("I32", codes.shape, codes.astype("<i4").tobytes())
        expected[f"recon.{level}"] = ("F32", kept.shape, kept.tobytes())
        print(f"level {level}: hop {hop(level)}, {len(np.unique(codes))} of {WORDS} codewords, peak {np.abs(y).max():.3f}")
    halves = {
        "vqvae." + port[name]: ("BF16", data.shape, (data.view(np.uint32) >> 16).astype("<u2").tobytes())
        for name, data in tensors.items()
    }
    halves["priors.0.embedding"] = ("F64", (2,), np.zeros(2).tobytes())
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in [
        ("codec.pth", archive(tensors)),
        ("codec.pth.tar", stream(tensors)),
        ("codec.bf16.safetensors", safetensors(halves)),
        ("expected.safetensors", safetensors(expected)),
    ]:
        (folder / name).write_bytes(content)
        print(f"{name}: {len(content)} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
