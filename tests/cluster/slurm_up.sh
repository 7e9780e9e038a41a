#!/usr/bin/env bash
# Bring up a SLURM on this machine alone, for the tests: munge, MariaDB, slurmdbd, slurmctld and two slurmd, each of
# which claims 8 cores, 16 GB and null devices for GPUs. All of it lies in $CROSSTUNE_SLURM, with ports and sockets of
# its own, but for the link /etc/slurm/slurm.conf: the executor takes SLURM_CONF away from what runs inside of jobs. A
# machine that has a slurm.conf is left alone. What runs already is left running.
#
#   export SLURM_CONF=$(tests/cluster/slurm_up.sh)      then sbatch, squeue, snakemake ... speak to it
#   tests/cluster/slurm_up.sh --no-accounting           one without a database: no MariaDB, no slurmdbd
#
# One of the two runs at a time; slurm_down.sh comes between them.
# Exit code 77: this machine cannot; the reason is the last line on stderr.
set -euo pipefail

W=${CROSSTUNE_SLURM:-/var/lib/crosstune-slurm}
accounting=yes
[ "${1:-}" != --no-accounting ] || accounting=no
PACKAGES="munge mariadb-server slurmdbd slurmctld slurmd slurm-client"
MARIADB="mariadb --user=root --socket=$W/mysql/socket"

cannot() { echo "$1" >&2; exit 77; }
alive() { [ -s "$W/run/$1.pid" ] && kill -0 "$(cat "$W/run/$1.pid")" 2>/dev/null; }
waitfor() { # seconds command...
    local tries=$(($1 * 5)); shift
    for _ in $(seq "$tries"); do "$@" >/dev/null 2>&1 && return 0; sleep 0.2; done
    echo "gave up waiting for: $*; see $W/log" >&2; return 1
}
nodes_up() { [ "$(sinfo --noheader --Node --partition=main --states=idle,mixed,allocated --format=%N | sort -u | wc -l)" = 2 ]; }

[ "$(id -u)" = 0 ] || cannot "starting a SLURM needs root"
CONF=/etc/slurm/slurm.conf
[ ! -e $CONF ] || [ "$(readlink $CONF)" = "$W/slurm.conf" ] || cannot "this machine has a SLURM: $CONF"
missing=""
for package in $PACKAGES; do
    dpkg --status "$package" 2>/dev/null | grep -q '^Status: install ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
    command -v apt-get >/dev/null || cannot "SLURM is installed by Debian's apt-get, which is not here"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 $missing; } >&2 ||
        cannot "apt-get could not install$missing"
fi

mkdir -p "$W"/{run,log,state,node1,node2,dev,munge,mysql}
chmod 755 "$W" "$W/run" "$W/munge"
export SLURM_CONF="$W/slurm.conf"

# ---- munge: who is who ----
chown munge:munge "$W/munge"
if [ ! -s "$W/munge/key" ]; then
    /usr/sbin/mungekey --create --keyfile="$W/munge/key"
    chown munge:munge "$W/munge/key"; chmod 600 "$W/munge/key"
fi
alive munged || setpriv --reuid=munge --regid=munge --clear-groups /usr/sbin/munged --socket="$W/munge/socket" \
    --key-file="$W/munge/key" --log-file="$W/munge/log" --pid-file="$W/munge/pid" --seed-file="$W/munge/seed" --force
waitfor 10 test -s "$W/munge/pid"; cp "$W/munge/pid" "$W/run/munged.pid"
waitfor 10 munge --socket="$W/munge/socket" --no-input

# ---- configuration ----
for number in 0 1; do [ -e "$W/dev/gpu$number" ] || mknod -m 666 "$W/dev/gpu$number" c 1 3; done
host=$(hostname -s)
cat > "$W/slurm.conf" <<CONF
ClusterName=crosstune
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=27817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job waits for as long as its old credential is good.
AuthInfo=socket=$W/munge/socket,cred_expire=5
MpiDefault=none
ReturnToService=2
SlurmctldPidFile=$W/run/slurmctld.pid
SlurmdPidFile=$W/run/slurmd.%n.pid
StateSaveLocation=$W/state
SlurmdSpoolDir=$W/%n
SlurmctldLogFile=$W/log/slurmctld.log
SlurmdLogFile=$W/log/slurmd.%n.log
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
# Memory is limited by looking at it, which needs no cgroups.
JobAcctGatherParams=OverMemoryKill
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MinJobAge=600
GresTypes=gpu
MailProg=/bin/true
NodeName=node1 NodeHostname=$host NodeAddr=127.0.0.1 Port=27821 CPUs=8 CoresPerSocket=8 RealMemory=16000 Gres=gpu:fake:1 State=UNKNOWN
NodeName=node2 NodeHostname=$host NodeAddr=127.0.0.1 Port=27822 CPUs=8 CoresPerSocket=8 RealMemory=16000 Gres=gpu:fake:2 Feature=a100,nvme State=UNKNOWN
PartitionName=main Nodes=node[1-2] Default=YES DefaultTime=10 PriorityTier=10 PreemptMode=OFF
PartitionName=spot Nodes=node[1-2] DefaultTime=10 PriorityTier=1 PreemptMode=REQUEUE
PartitionName=onegpu Nodes=node1 DefaultTime=10 PriorityTier=10 PreemptMode=OFF
PartitionName=cpu Nodes=node1 DefaultTime=10 PriorityTier=10 PreemptMode=OFF
CONF
[ $accounting = no ] || cat >> "$W/slurm.conf" <<CONF
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=27819
AccountingStoragePass=$W/munge/socket
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
CONF
mkdir -p /etc/slurm; ln -sfn "$W/slurm.conf" $CONF
cat > "$W/gres.conf" <<CONF
NodeName=node1 Name=gpu Type=fake File=$W/dev/gpu0
NodeName=node2 Name=gpu Type=fake File=$W/dev/gpu[0-1]
CONF
printf 'CgroupPlugin=cgroup/v1\nConstrainRAMSpace=no\n' > "$W/cgroup.conf"
cat > "$W/slurmdbd.conf" <<CONF
AuthType=auth/munge
AuthInfo=socket=$W/munge/socket
DbdHost=localhost
DbdPort=27819
SlurmUser=root
LogFile=$W/log/slurmdbd.log
PidFile=$W/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_accounting
CONF
chmod 600 "$W/slurmdbd.conf"

# ---- accounting ----
keep_accounts() {
    chown mysql:mysql "$W/mysql"
    [ -d "$W/mysql/data" ] || mariadb-install-db --no-defaults --user=mysql --datadir="$W/mysql/data" \
        --auth-root-authentication-method=socket >/dev/null
    if ! alive mariadbd; then
        setsid /usr/sbin/mariadbd --no-defaults --user=mysql --datadir="$W/mysql/data" --socket="$W/mysql/socket" \
            --pid-file="$W/mysql/pid" --skip-networking --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 \
            >> "$W/log/mariadbd.log" 2>&1 < /dev/null &
        echo $! > "$W/run/mariadbd.pid"
    fi
    waitfor 30 $MARIADB --execute='select 1'
    $MARIADB --execute="create database if not exists slurm_accounting;
        create user if not exists slurm@localhost identified by 'slurm';
        grant all on slurm_accounting.* to slurm@localhost;"
    # slurmdbd asks for the database at MySQL's own place.
    alive slurmdbd || MYSQL_UNIX_PORT="$W/mysql/socket" /usr/sbin/slurmdbd
    waitfor 30 sacctmgr --noheader show cluster
    sacctmgr --noheader show cluster format=cluster | grep -qw crosstune || sacctmgr --immediate add cluster crosstune >/dev/null
    sacctmgr --noheader show account format=account%20 | grep -qw study ||
        sacctmgr --immediate add account study cluster=crosstune >/dev/null
    sacctmgr --noheader show user root withassoc format=account%20 | grep -qw study ||
        sacctmgr --immediate add user root account=study >/dev/null
    sacctmgr --noheader show qos format=name%20 | grep -qw long || {
        sacctmgr --immediate add qos long >/dev/null
        sacctmgr --immediate modify user root set qos+=long >/dev/null
    }
}
[ $accounting = no ] || keep_accounts

# ---- the cluster ----
alive slurmctld || /usr/sbin/slurmctld
waitfor 20 scontrol ping
for number in 1 2; do alive "slurmd.node$number" || /usr/sbin/slurmd -N "node$number"; done
waitfor 20 nodes_up || { scontrol update nodename=node[1-2] state=resume || true; waitfor 20 nodes_up; }
echo "$SLURM_CONF"
