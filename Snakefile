# crosstune: does fine-tuning on several languages help other languages? One after the other, or all at once?
#
#   snakemake --cores 2                                    the study of config.yaml
#   snakemake --cores 2 --configfile studies/x.yaml        another study
#   snakemake -n                                           the numbers of jobs, without running them
#   snakemake -n --quiet host                              every job, with the reason why it runs
#   snakemake -n estimate_cost                             the expected cost

from snakemake.utils import min_version

min_version("9.18")


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/augment.smk"
include: "rules/models.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/provenance.smk"
include: "rules/report.smk"
include: "rules/submission.smk"
include: "rules/publish.smk"
include: "rules/clean.smk"


rule all:
    default_target: True
    input:
        final_targets(),
