#!/usr/bin/env bash
# Kills runs at random moments and looks whether the next run ends with the bytes of one that was left alone: TIMES
# SIGKILLs each inside training, encoding and publishing, and as many anywhere.
#
# MUSIC is a folder of recordings; the first RECORDINGS of its sound files are taken, by size. REFRAIN names the program,
# by default it is built. Usage: MUSIC=DIR TIMES=15 RECORDINGS=16 SEED=1 benches/kills/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ -z "${REFRAIN:-}" ]; then
    cargo build --release -q --workspace --bin refrain
    REFRAIN="$PWD/${CARGO_TARGET_DIR:-target}/release/refrain"
fi
: "${MUSIC:?names a folder of recordings}"
REFRAIN=$REFRAIN MUSIC=$MUSIC TIMES=${TIMES:-15} RECORDINGS=${RECORDINGS:-16} SEED=${SEED:-1} python3 benches/kills/kills.py
