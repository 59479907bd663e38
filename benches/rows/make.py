"""Writes a table of tracks without audio, and its manifest; see run.sh."""

import csv
import hashlib
import os
import sys

LICENSES = ["CC0-1.0", "CC-BY-4.0", "CC-BY-3.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", ""]
MANIFEST = """edition = 1
name    = "rows"
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

[stage.unique]
do   = "dedup"
from = ["free"]

[stage.parts]
do   = "split"
from = ["unique"]
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
    with open("rows.toml", "w") as out:
        out.write(MANIFEST.format(format=sys.argv[2]))
