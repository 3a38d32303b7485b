#!/usr/bin/env bash
# Several GPUs: tools/dist_train.sh CONFIG GPUS [arguments of train.py]
# Several machines: NNODES=2 NODE_RANK=0 MASTER_ADDR=host tools/dist_train.sh ...
set -e
CONFIG=$1
GPUS=$2
torchrun \
    --nnodes="${NNODES:-1}" \
    --node-rank="${NODE_RANK:-0}" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" \
    --master-port="${PORT:-29500}" \
    --nproc-per-node="$GPUS" \
    "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "${@:3}"
