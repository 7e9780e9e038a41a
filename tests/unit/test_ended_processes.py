"""The tests' own helper that ends a Snakemake, which may hang."""

import subprocess
import sys

import pytest
from helpers.processes import end_snakemake

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


@pytest.mark.parametrize("leads_group", [False, True])
def test_a_snakemake_that_does_not_end_is_killed(leads_group):
    command = [sys.executable, "-c", DEAF]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=leads_group)
    assert process.stdout.readline() == "deaf\n"
    end_snakemake(process, leads_group, seconds=0.1)
    assert process.returncode == -9
    process.stdout.close()
