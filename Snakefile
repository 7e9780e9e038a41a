# crosstune: does fine-tuning on several languages help the others, and one after the other or all at once?
#
#   snakemake --cores 2                                    the study of config.yaml
#   snakemake --cores 2 --configfile studies/x.yaml        another study
#   snakemake -n                                           what would run
#   snakemake -n plan                                      what it would cost

from snakemake.utils import min_version

min_version("9.18")

# A study given with --configfile stands alone; it is not laid over the default one.
if "study" not in config:

    configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/augment.smk"
include: "rules/models.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/provenance.smk"
include: "rules/report.smk"
include: "rules/submission.smk"
include: "rules/clean.smk"


rule all:
    default_target: True
    input:
        final_targets(),
