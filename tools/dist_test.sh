#!/usr/bin/env bash
# Several GPUs: tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of test.py]
set -e
CONFIG=$1
CHECKPOINT=$2
GPUS=$3
torchrun \
    --nnodes="${NNODES:-1}" \
    --node-rank="${NODE_RANK:-0}" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" \
    --master-port="${PORT:-29500}" \
    --nproc-per-node="$GPUS" \
    "$(dirname "$0")/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch \
    "${@:4}"
