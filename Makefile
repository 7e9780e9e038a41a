# Two commands for a fresh machine:
#   make        sets up the environment and runs the default study
#   make test   sets up the environment and passes the tests
PYTHON ?= python3
CORES ?= $(shell nproc)
STUDY ?= config.yaml
VENV := .venv
READY := $(VENV)/ready

.PHONY: study status inspect test test-cluster test-containers chaos chaos-writes lint docs envs image base clean
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

study: $(READY)
	snakemake --cores $(CORES)
	@echo "Read results/default/report.html"

# Progress of a study, also while it runs: make status STUDY=studies/xtreme-r.yaml
status: $(READY)
	@python scripts/status.py --configfile $(STUDY)

# What a study would run, read and download, without running anything of it: make inspect STUDY=studies/theirs.yaml
inspect: $(READY)
	@python scripts/inspect_study.py $(STUDY)

# RO-Crate's validator checks the archive of a study. It has an environment of its own, because its packages differ from
# the lock's.
test: export CROSSTUNE_VALIDATOR := $(CURDIR)/.validator/bin/python
test: $(READY) .validator/ready
	ruff check . && ruff format --check .
	snakefmt --check Snakefile rules
	snakemake --lint
	python -m pytest -n $(CORES) --dist loadfile --no-loadscope-reorder

# Tests on a real SLURM and in real images. As root on Debian they set these up; elsewhere they skip with a reason.
test-cluster: $(READY)
	python -m pytest -m cluster

test-containers: $(READY)
	python -m pytest -m container

# A small study under random disturbances, by hand: make chaos OPTIONS="--disturbances 200"
chaos: $(READY)
	python benchmarks/chaos.py --work $(shell mktemp -d) $(OPTIONS)

# Kills inside every kind of write, by hand: make chaos-writes OPTIONS="--hits 10"
chaos-writes: $(READY)
	python benchmarks/chaos_writes.py --work $(shell mktemp -d) $(OPTIONS)

# Only files with the hashes of the locks are installed.
INSTALLED_FROM := envs/install.sh envs/build.lock envs/cuda.lock

.validator/ready: envs/validator.lock $(INSTALLED_FROM)
	$(PYTHON) -m venv .validator
	envs/install.sh .validator/bin/python envs/validator.lock
	touch .validator/ready

# make TORCH_INDEX=... takes another build of torch; docs/containers.md
$(READY): envs/requirements.lock $(INSTALLED_FROM)
	$(PYTHON) -m venv $(VENV)
	envs/install.sh $(VENV)/bin/python envs/requirements.lock $(TORCH_INDEX)
	touch $(READY)

lint: $(READY)
	ruff check --fix . && ruff format . && snakefmt Snakefile rules

docs: $(READY)
	python scripts/document_config.py --out docs/config.md

# Renew the locks, conda's environments and what images contain: make envs OPTIONS="--upgrade"
envs: $(READY)
	python scripts/pin_envs.py $(OPTIONS)

# make image TORCH_INDEX=... BUILD_OPTIONS="..."; docs/containers.md
export TORCH_INDEX BASE IMAGE SIF BUILD_OPTIONS SIF_OPTIONS
image:
	containers/build.sh

# Write the digest of the base image into the files of the images.
base:
	containers/pin_base.sh

clean:
	rm -rf $(VENV) .validator results data .snakemake logs
