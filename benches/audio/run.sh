#!/usr/bin/env bash
# Decode + resample to 44.1 kHz mono f32: refrain against ffmpeg (its own resampler and soxr) and sox.
# 300 s of synthetic stereo in each format; CPU time (user + system), the least of RUNS runs taken in turn, less
# that of a file of 0.1 s (start-up). Refrain's figure includes the digest of all samples.
# Needs ffmpeg, sox (with its MP3 format) and, unless BENCH names the program, cargo. Usage: benches/audio/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
RUNS=${RUNS:-5}
if [ -z "${BENCH:-}" ]; then
    cargo build --release -q -p refrain-datasets --example bench_audio
    BENCH="${CARGO_TARGET_DIR:-target}/release/examples/bench_audio"
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

make() { # name rate seconds codec arguments
    local name=$1 rate=$2 seconds=$3
    shift 3
    local left="0.3*sin(2*PI*220*t)+0.2*sin(2*PI*(331*t+40*sin(t)))+0.1*sin(2*PI*3520*t)*exp(-4*mod(t\\,0.5))"
    ffmpeg -v error -f lavfi -i "aevalsrc=$left+0.05*(random(0)-0.5)|0.8*($left)+0.05*(random(1)-0.5):s=$rate:d=$seconds" \
        "$@" -y "$folder/$name"
}
declare -A codec=([flac]="-c:a flac" [mp3]="-c:a libmp3lame -b:a 192k" [ogg]="-c:a libvorbis -q:a 5")
rows=("flac 48000" "mp3 48000" "ogg 48000" "flac 22050" "mp3 22050")
for row in "${rows[@]}"; do
    read -r kind rate <<<"$row"
    # shellcheck disable=SC2086
    [ "$rate" = 22050 ] && options=${codec[$kind]/192k/128k} || options=${codec[$kind]}
    # shellcheck disable=SC2086
    make "long-$rate.$kind" "$rate" 300 $options
    # shellcheck disable=SC2086
    make "short-$rate.$kind" "$rate" 0.1 $options
done

refrain() { "$BENCH" "$1"; }
ffmpeg_swr() { ffmpeg -v error -threads 1 -i "$1" -ac 1 -ar 44100 -f f32le -y /dev/null; }
ffmpeg_soxr() { ffmpeg -v error -threads 1 -i "$1" -af aresample=44100:resampler=soxr -ac 1 -ar 44100 -f f32le -y /dev/null; }
sox_hq() { sox --single-threaded "$1" -t raw -e floating-point -b 32 -c 1 -r 44100 -; }

TIMEFORMAT='%U %S'
cpu() { { time "$@" >/dev/null 2>&1; } 2>&1 | awk '{printf "%.3f", $1 + $2}'; }
least() { awk -v a="$1" -v b="$2" 'BEGIN { print (a < b) ? a : b }'; }

tools=(refrain ffmpeg_swr ffmpeg_soxr sox_hq)
printf '%-12s %8s | %s\n' input refrain 'times real time per core: ffmpeg, ffmpeg soxr, sox; refrain / each'
for row in "${rows[@]}"; do
    read -r kind rate <<<"$row"
    declare -A long=() short=()
    for _ in $(seq "$RUNS"); do
        for tool in "${tools[@]}"; do
            long[$tool]=$(least "$(cpu "$tool" "$folder/long-$rate.$kind")" "${long[$tool]:-999}")
            short[$tool]=$(least "$(cpu "$tool" "$folder/short-$rate.$kind")" "${short[$tool]:-999}")
        done
    done
    for tool in "${tools[@]}"; do echo "${long[$tool]} ${short[$tool]}"; done | awk -v name="$kind $rate" '
        # A tool that fails at once (a sox without MP3) has no speed.
        { speed[NR] = ($1 - $2 > 0.05) ? 300 / ($1 - $2) : 0 }
        function shown(x) { return x ? sprintf("%.0f", x) : "-" }
        function ratio(x) { return x ? sprintf("%.2f", speed[1] / x) : "-" }
        END { printf "%-12s %8s | %s %s %s; %s %s %s\n", name, shown(speed[1]), shown(speed[2]), shown(speed[3]),
                     shown(speed[4]), ratio(speed[2]), ratio(speed[3]), ratio(speed[4]) }'
done
