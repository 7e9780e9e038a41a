#!/usr/bin/env bash
# A study that takes longer than a job may: Snakemake runs in this job, which SLURM starts again before its time is up.
#
#   sbatch --time=24:00:00 profiles/slurm/controller.sh --configfile studies/xtreme-r.yaml
#
# The arguments go to Snakemake; sbatch's own options come before the script. docs/cluster.md explains it.
#SBATCH --job-name=study
#SBATCH --ntasks=1 --cpus-per-task=2 --mem=16G
#SBATCH --output=study.log --open-mode=append
# SLURM sends the signal so many seconds before the limit, or up to a minute earlier.
#SBATCH --signal=B:USR1@600 --requeue
set -um  # m: otherwise the shell would start Snakemake deaf to the interrupt below

# Seconds that running jobs get to finish once the signal has come. Those that need longer go on in the next job.
finish_seconds=${FINISH_SECONDS:-420}

time_is_up=
hand_over() {
    time_is_up=yes
    echo "controller: the time is nearly up; no new jobs, and $finish_seconds s for those that run"
    kill -TERM "$snakemake"
    # Snakemake then cancels its jobs: trainings save their state, and the next one goes on from there.
    (sleep "$finish_seconds" && kill -INT "$snakemake") &
    alarm=$!
}

# The run before this one may have been killed. It is over: SLURM runs a job once at a time.
[ "${SLURM_RESTART_COUNT:-0}" = 0 ] || snakemake --unlock "$@"

snakemake --profile profiles/slurm "$@" &
snakemake=$!
trap hand_over USR1
# The signal ends a wait, not Snakemake.
until wait "$snakemake"; code=$?; ! kill -0 "$snakemake" 2>/dev/null; do :; done
trap '' USR1
[ -z "$time_is_up" ] || kill -- "-$alarm" 2>/dev/null

if [ -n "$time_is_up" ] && [ "$code" != 0 ]; then
    echo "controller: the study goes on in this job's next run"
    scontrol requeue "$SLURM_JOB_ID"
    sleep infinity  # until SLURM ends this run
fi
exit "$code"
