# Two programs that would take for ever on their first try: one ends when it is told that its time is nearly over, as a
# training does, the other has to be killed.


rule all:
    input:
        "obedient.txt.done",
        "deaf.txt.done",


rule obedient:
    output:
        touch("obedient.txt.done"),
    resources:
        runtime=lambda wildcards, attempt: 2 * attempt,
        mem_mb=1000,  # Snakemake itself needs 170, and twice as much while it starts a process
    params:
        attempt=lambda wildcards, resources: resources.runtime // 2,
    shell:
        """
        exec bash -c '
            [ {params.attempt} = 1 ] || {{ echo "{params.attempt} {resources.runtime} minutes" >> obedient.txt; exit 0; }}
            trap "echo 1 TERM >> obedient.txt; exit 1" TERM
            sleep 400 & wait
        '
        """


rule deaf:
    output:
        touch("deaf.txt.done"),
    resources:
        runtime=lambda wildcards, attempt: attempt if attempt == 1 else 4,
        mem_mb=1000,
        slurm_extra="",
    params:
        attempt=lambda wildcards, resources: 1 if resources.runtime == 1 else 2,
    shell:
        """
        exec bash -c '
            [ {params.attempt} = 1 ] || {{ echo "{params.attempt} {resources.runtime} minutes" >> deaf.txt; exit 0; }}
            echo "1 nothing" >> deaf.txt
            trap "" TERM
            sleep 400
        '
        """
