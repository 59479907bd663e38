"""Small WAV files, and what each tool needs to know of them; `make.py change` changes one of them everywhere."""
import os
import random
import struct
import sys
import time
import wave

FRAMES = 400


def sound(path, seed):
    rng = random.Random(seed)
    with wave.open(path, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(struct.pack(f"<{FRAMES}h", *(rng.randrange(-9000, 9000) for _ in range(FRAMES))))


def main():
    if sys.argv[1] == "change":
        time.sleep(0.01)
        sound("tracks/000/00007.wav", "changed")
        return
    files = [f"tracks/{i // 1000:03}/{i:05}.wav" for i in range(int(sys.argv[1]))]
    for path in files:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        sound(path, path)
    with open("corpus.toml", "w") as out:
        out.write(MANIFEST)
    # The others do the least that can be done with a file: its length.
    os.makedirs("dvc")
    os.symlink("../tracks", "dvc/tracks")
    with open("dvc/dvc.yaml", "w") as out:
        out.write(DVC)
    with open("dvc/lengths.py", "w") as out:
        out.write(LENGTHS)
    os.makedirs("snakemake/done")
    os.symlink("../tracks", "snakemake/tracks")
    with open("snakemake/Snakefile", "w") as out:
        out.write(SNAKEFILE)
    os.makedirs("ninja")
    os.symlink("../tracks", "ninja/tracks")
    with open("ninja/build.ninja", "w") as out:
        out.write("rule length\n  command = wc -c < $in > $out\n")
        for path in files:
            out.write(f"build done/{path[7:]}.txt: length {path}\n")
    for path in files:
        done = f"snakemake/done/{path[7:]}.txt"
        os.makedirs(os.path.dirname(done), exist_ok=True)
        with open(done, "w") as out:
            out.write(f"{os.path.getsize(path)}\n")


MANIFEST = """edition = 1
name = "corpus"
[stage.tracks]
do = "ingest"
corpus = "folder"
root = "tracks"
license = "CC0-1.0"
[stage.free]
do = "license"
from = ["tracks"]
allow = ["CC0-1.0"]
[stage.decoded]
do = "decode"
from = ["free"]
[stage.unique]
do = "dedup"
from = ["decoded"]
[stage.parts]
do = "split"
from = ["unique"]
"""

DVC = """stages:
  lengths:
    cmd: python3 lengths.py
    deps: [tracks, lengths.py]
    outs: [lengths.tsv]
"""

LENGTHS = """import os
with open("lengths.tsv", "w") as out:
    for folder, _, files in sorted(os.walk("tracks/")):
        for name in sorted(files):
            path = os.path.join(folder, name)
            out.write(f"{path}\\t{os.path.getsize(path)}\\n")
"""

SNAKEFILE = """FILES = sorted(glob_wildcards("tracks/{file}.wav").file)
rule all:
    input: expand("done/{file}.wav.txt", file=FILES)
rule length:
    input: "tracks/{file}.wav"
    output: "done/{file}.wav.txt"
    shell: "wc -c < {input} > {output}"
"""

main()
