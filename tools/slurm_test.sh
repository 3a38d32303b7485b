#!/usr/bin/env bash
# Slurm: [GPUS=8] tools/slurm_test.sh PARTITION JOB CONFIG CHECKPOINT [arguments]
set -ex
PARTITION=$1
JOB_NAME=$2
CONFIG=$3
CHECKPOINT=$4
srun -p "$PARTITION" \
    --job-name="$JOB_NAME" \
    --gres=gpu:"${GPUS_PER_NODE:-8}" \
    --ntasks="${GPUS:-8}" \
    --ntasks-per-node="${GPUS_PER_NODE:-8}" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    python -u "$(dirname "$0")/test.py" "$CONFIG" "$CHECKPOINT" \
    --launcher=slurm "${@:5}"
