"""Times trainings by several processes; see run.sh."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

REFRAIN = os.environ["REFRAIN"]
PORT = 2301

MANIFEST = """
edition = 1
name    = "together"
seed    = 3

[stage.tracks]
do     = "ingest"
corpus = "synth"
pieces = 6

[stage.decoded]
do   = "decode"
from = ["tracks"]

[stage.mono]
do   = "resample"
from = ["decoded"]

[stage.parts]
do    = "split"
from  = ["mono"]
train = 1.0
valid = 0.0
test  = 0.0

[stage.clips]
do      = "segment"
from    = ["parts"]
seconds = 4.0

[stage.codec]
do          = "fit"
from        = ["clips"]
width       = [32]
depth       = [4]
codewords   = [256]
steps       = [40]
batch       = [8]
micro_batch = [1]
crop        = [8192]
kmeans      = 2

[stage.codes]
do   = "encode"
from = ["clips", "codec"]

[stage.shards]
do   = "shard"
from = ["codes"]

[stage.top]
do          = "train"
from        = ["shards"]
level       = 2
width       = 256
depth       = 4
context     = 256
distances   = 256
steps       = 60
batch       = 8
micro_batch = 1
"""


def run(folder, processes, to):
    """Wall seconds until a stage is done, and the digest of what its training made."""
    hosts = os.path.join(folder, "hosts")
    with open(hosts, "w") as file:
        file.writelines(f"127.0.0.1:{PORT + i}\n" for i in range(processes))
    command = [REFRAIN, "run", "together.toml", "--store", "store", "-w", "1", "--json", "--to", to]
    started = time.monotonic()
    several = [["--hosts", hosts, "-p", str(i)] if processes > 1 else [] for i in range(processes)]
    all_of = [
        subprocess.Popen(command + more, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for more in several
    ]
    said = [one.communicate() for one in all_of]
    wall = time.monotonic() - started
    if any(one.returncode for one in all_of):
        sys.exit("\n".join(err for _, err in said))
    model = os.path.join(folder, "store", "runs", json.loads(said[0][0].splitlines()[-1])["run"], "model")
    digest = hashlib.sha256()
    for name in sorted(os.listdir(model)) if os.path.isdir(model) else []:
        if name.endswith(".safetensors"):
            with open(os.path.join(model, name), "rb") as file:
                digest.update(file.read())
    return wall, digest.hexdigest()


def main():
    runs, counts = int(sys.argv[1]), [int(count) for count in sys.argv[2:]]
    walls, digests = {}, {}
    for _ in range(runs):
        for processes in counts:
            folder = tempfile.mkdtemp()
            try:
                with open(os.path.join(folder, "together.toml"), "w") as file:
                    file.write(MANIFEST)
                for before, stage in [("clips", "codec"), ("shards", "top")]:
                    run(folder, 1, before)
                    wall, digest = run(folder, processes, stage)
                    walls.setdefault((stage, processes), []).append(wall)
                    digests.setdefault(stage, set()).add(digest)
            finally:
                shutil.rmtree(folder)
    if any(len(own) > 1 for own in digests.values()):
        sys.exit(f"the networks differ: {digests}")
    for stage in ["codec", "top"]:
        one = min(walls[stage, counts[0]])
        for processes in counts:
            least = min(walls[stage, processes])
            print(f"{stage:<6} {processes} processes {least:6.2f} s  {one / least:5.2f} times {counts[0]}")


main()
