"""Kills runs and compares what the next run publishes; see run.sh."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REFRAIN, TIMES = os.environ["REFRAIN"], int(os.environ["TIMES"])
RECORDINGS, DRAW = int(os.environ["RECORDINGS"]), random.Random(int(os.environ["SEED"]))
SOUND = {".flac", ".mp3", ".ogg", ".wav", ".m4a", ".aiff", ".aif"}
MANIFEST = Path(__file__).resolve().parents[2] / "manifests" / "folder.toml"
SMALL = ["width=[16,16,16]", "depth=[1,1,1]", "codewords=[128,128,128]", "steps=[60,60,60]", "batch=[2,2,2]"]


def corpus(folder):
    """The smallest recordings, but for near-empty ones, under names of their own."""
    files = sorted((p.stat().st_size, p) for p in Path(os.environ["MUSIC"]).rglob("*") if p.suffix.lower() in SOUND)
    files = [p for size, p in files if size > 50_000][:RECORDINGS]
    for n, path in enumerate(files):
        shutil.copy(path, folder / f"{n:02}{path.suffix.lower()}")
    rows = "".join(f"{p.name},CC0-1.0,artist {p.stem}\n" for p in sorted(folder.iterdir()))
    (folder / "tracks.csv").write_text("path,license,artist\n" + rows)


def command(place, store, *more):
    sets = [f"stage.tracks.root={place / 'music'}", *(f"stage.codec.{s}" for s in SMALL), "stage.codec.refresh=auto"]
    sets = [word for value in sets for word in ("--set", value)]
    return [REFRAIN, "run", str(place / "m.toml"), "--json", "-w", "2", "--store", str(store), *sets, *more]


def events(place, store, *more):
    out = subprocess.run(command(place, store, *more), capture_output=True, text=True)
    if out.returncode:
        sys.exit(f"the run ended with {out.returncode}: {out.stderr}")
    return [json.loads(line) for line in out.stdout.splitlines()]


def tree(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != "timing.json"
    }


def objects(store):
    """What is left in a store once it is cleaned up."""
    subprocess.run([REFRAIN, "gc", "--keep", "1", "--store", str(store)], check=True, capture_output=True)
    return sorted(str(p.relative_to(store)) for name in ("objects", "checkpoints") for p in (store / name).rglob("*") if p.is_file())


def copy(store, to):
    """A copy that shares what is never changed in place."""
    shutil.copytree(store, to, symlinks=True, copy_function=os.link)
    for name in ("receipts", "checkpoints", "roots"):
        if (to / name).exists():
            shutil.rmtree(to / name)
            shutil.copytree(store / name, to / name)
    for path in to.iterdir():
        if path.is_file():
            path.unlink()
            shutil.copy(store / path.name, path)


def inside(event, part):
    if part == "codec":
        return event["event"] == "progress" and event["stage"] == "codec"
    if part == "codes":
        return event["event"] == "executed" and event["stage"] == "codes"
    return event["event"] == "publishing"


def strike(place, store, part, span):
    """Starts a run and kills it somewhere inside a part; where, or None where it ended before."""
    count = DRAW.randint(1, span["events"]) if part else 0
    child = subprocess.Popen(command(place, store), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    seen = {"codec": 0, "codes": 0, "publishing": 0}
    if part is None:
        pause = DRAW.uniform(0, span["seconds"])
        where = f"after {pause * 1e3:.0f} ms"
    else:
        for line in child.stdout:
            event = json.loads(line)
            seen[part] += inside(event, part)
            if seen[part] == count:
                break
        pause = DRAW.uniform(0, span["seconds"])
        unit = {"codec": "step", "codes": "clip", "publishing": ""}[part]
        at = f"{unit} {count} + " if unit else ""
        where = f"{at}{pause * 1e3:.1f} ms"
    time.sleep(pause)
    child.kill()
    rest = child.stdout.read()
    code = child.wait()
    if code != -9:
        return None
    lines = [json.loads(line) for line in rest.splitlines() if line.endswith("}")]
    # What it said before it died, but had not been read: the part may have been over.
    over = {"codec": "codes", "codes": "publishing"}.get(part)
    if over and any(inside(event, over) for event in lines):
        return None
    return where


def main():
    place = Path(tempfile.mkdtemp(prefix="kills-"))
    try:
        (place / "music").mkdir()
        corpus(place / "music")
        shutil.copy(MANIFEST, place / "m.toml")
        whole = place / "whole"
        started = time.monotonic()
        first = events(place, whole)
        seconds = time.monotonic() - started
        done = first[-1]
        expected = tree(Path(done["folder"]))
        steps = sum(inside(e, "codec") for e in first)
        clips = sum(inside(e, "codes") for e in first)
        print(f"{RECORDINGS} recordings, {clips} clips, {steps} training steps, {len(expected)} files, {seconds:.1f} s")

        # Stores from which a run has only the rest to do.
        start = {"codec": place / "before-codec", "codes": place / "before-codes"}
        events(place, start["codec"], "--to", "clips")
        events(place, start["codes"], "--to", "codec")
        start["publishing"] = place / "before-publishing"
        copy(whole, start["publishing"])
        shutil.rmtree(start["publishing"] / "runs")
        probe = place / "probe"
        copy(start["publishing"], probe)
        child = subprocess.Popen(command(place, probe), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        begun = next(time.monotonic() for line in child.stdout if inside(json.loads(line), "publishing"))
        child.stdout.read()
        child.wait()
        publishing = time.monotonic() - begun
        spans = {
            "codec": {"events": steps, "seconds": 0.03},
            "codes": {"events": clips, "seconds": 0.1},
            "publishing": {"events": 1, "seconds": publishing},
            None: {"events": 0, "seconds": seconds},
        }
        clean = place / "clean"
        copy(whole, clean)
        clean = objects(clean)
        head = f"{'kill':>4}  {'inside':<10} {'where':<24} {'executed after':>14} {'steps after':>11}  bytes and store"
        print(f"publishing takes {publishing * 1e3:.0f} ms\n{head}")

        number = same = 0
        for part in ["codec", "codes", "publishing", None]:
            left = TIMES
            while left:
                store = place / "store"
                shutil.rmtree(store, ignore_errors=True)
                if part in start:
                    copy(start[part], store)
                where = strike(place, store, part, spans[part])
                if where is None:
                    continue
                left, number = left - 1, number + 1
                again = events(place, store)
                executed = sum(stage["executed"] for stage in again[-1]["stages"].values())
                equal = tree(Path(again[-1]["folder"])) == expected
                more = sum(inside(e, "codec") for e in again)
                nothing = sum(stage["executed"] for stage in events(place, store)[-1]["stages"].values()) == 0
                orphans = set(objects(store)) ^ set(clean)
                verdict = "equal" if equal else "DIFFERENT"
                verdict += "" if nothing else ", NOT DONE"
                verdict += f", {len(orphans)} ORPHANS" if orphans else ""
                same += verdict == "equal"
                print(f"{number:>4}  {part or 'anywhere':<10} {where:<24} {executed:>14} {more:>11}  {verdict}", flush=True)
        print(f"{same} of {number} end with the same bytes, nothing more to do and nothing left over")
        sys.exit(same != number)
    finally:
        shutil.rmtree(place, ignore_errors=True)


main()
