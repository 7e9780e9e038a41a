#!/usr/bin/env bash
# Stop what slurm_up.sh has started, by its own files of process ids, and nothing else. --purge also removes its folder.
set -u
W=${CROSSTUNE_SLURM:-/var/lib/crosstune-slurm}

stop() {
    local process
    [ -s "$W/run/$1.pid" ] || return 0
    process=$(cat "$W/run/$1.pid")
    # A process id may have been given to another program since.
    if grep -q "$2" "/proc/$process/comm" 2>/dev/null; then
        kill "$process"
        for _ in $(seq 100); do kill -0 "$process" 2>/dev/null || break; sleep 0.1; done
        kill -9 "$process" 2>/dev/null
    fi
    rm -f "$W/run/$1.pid"
}

stop slurmd.node1 slurmd
stop slurmd.node2 slurmd
stop slurmctld slurmctld
stop slurmdbd slurmdbd
stop mariadbd mariadbd
stop munged munged
[ "$(readlink /etc/slurm/slurm.conf)" != "$W/slurm.conf" ] || rm /etc/slurm/slurm.conf
[ "${1:-}" != --purge ] || rm -rf "$W"
