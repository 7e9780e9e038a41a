# Two jobs with a GPU each, in a partition that has one.


rule all:
    input:
        "one.txt",
        "two.txt",


rule compute:
    output:
        "{name}.txt",
    resources:
        gpu=1,
        slurm_partition="onegpu",
        mem_mb=1000,
        runtime=5,
    shell:
        "(date +%s.%N; echo $CUDA_VISIBLE_DEVICES; echo $SLURM_NTASKS; sleep 2; date +%s.%N) > {output}"
