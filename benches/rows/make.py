"""Writes a table of tracks without audio, and two manifests: of what needs no audio, and of all stages up to shards; see run.sh."""

import csv
import hashlib
import os
import sys

LICENSES = ["CC0-1.0", "CC-BY-4.0", "CC-BY-3.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", ""]
SOURCE = """edition = 1
name    = "{name}"
seed    = 17

[stage.tracks]
do     = "ingest"
corpus = "table"
file   = "tracks.{format}"
digest = "blake3"

[stage.free]
do    = "license"
from  = ["tracks"]
allow = ["CC0-1.0", "CC-BY-4.0", "CC-BY-3.0", "CC-BY-SA-4.0"]
"""
ROWS = SOURCE + """
[stage.unique]
do   = "dedup"
from = ["free"]

[stage.parts]
do   = "split"
from = ["unique"]
"""
FULL = SOURCE + """
[stage.decoded]
do   = "decode"
from = ["free"]

[stage.mono]
do   = "resample"
from = ["decoded"]

[stage.unique]
do   = "dedup"
from = ["mono"]

[stage.parts]
do   = "split"
from = ["unique"]

[stage.clips]
do   = "segment"
from = ["parts"]

[stage.codec]
do   = "fit"
from = ["clips"]

[stage.codes]
do   = "encode"
from = ["clips", "codec"]

[stage.shards]
do   = "shard"
from = ["codes"]
"""
COLUMNS = ["path", "license", "artist", "title", "genre", "blake3"]


def row(n):
    # Every hundredth sounds like the one before it.
    sound = n - 1 if n % 100 == 99 else n
    license, artist = LICENSES[n * 7 % len(LICENSES)], f"artist {n * 31 % 50_000}"
    return [f"{n // 1000:04}/{n:07}.mp3", license, artist, f"title {n}", f"genre {n % 16}", hashlib.sha256(str(sound).encode()).hexdigest()]


def write(rows, form):
    if form == "csv":
        with open("tracks.new", "w", newline="") as out:
            csv.writer(out).writerows([COLUMNS, *rows])
    else:
        import pyarrow
        from pyarrow import parquet

        columns = {name: [r[i] for r in rows] for i, name in enumerate(COLUMNS)}
        parquet.write_table(pyarrow.table(columns), "tracks.new")
    os.replace("tracks.new", f"tracks.{form}")


def read(form):
    if form == "csv":
        with open("tracks.csv", newline="") as file:
            return list(csv.reader(file))[1:]
    from pyarrow import parquet

    table = parquet.read_table("tracks.parquet").to_pydict()
    return [list(r) for r in zip(*(table[name] for name in COLUMNS))]


if sys.argv[1] == "change":
    rows = read(sys.argv[2])
    rows[len(rows) // 2][1] = "CC0-1.0" if rows[len(rows) // 2][1] != "CC0-1.0" else "CC-BY-4.0"
    write(rows, sys.argv[2])
else:
    write([row(n) for n in range(int(sys.argv[1]))], sys.argv[2])
    for name, manifest in [("rows", ROWS), ("full", FULL)]:
        with open(f"{name}.toml", "w") as out:
            out.write(manifest.format(name=name, format=sys.argv[2]))
