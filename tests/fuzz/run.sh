#!/bin/sh
# Fuzzes for SECONDS a target: run.sh [SECONDS [TARGET...]]
set -eu
cd "$(dirname "$0")"
seconds=${1:-60}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- release list pdiff path unpack bencode krpc upnp

# What `cargo fuzz --sanitizer none` passes. With a --target given, it does not
# reach build scripts.
RUSTFLAGS="--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares"
export RUSTFLAGS

# The versions that the crate itself is built with.
cp ../../Cargo.lock Cargo.lock
host=$(rustc -vV | sed -n 's/^host: //p')
cargo build --release --target "$host"
for target; do
    mkdir -p "corpus/$target" artifacts
    "${CARGO_TARGET_DIR:-target}/$host/release/$target" \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="artifacts/$target-" "corpus/$target" "seeds/$target"
done
