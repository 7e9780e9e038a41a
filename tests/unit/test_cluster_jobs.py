"""What SLURM tells a job, and what its plugin makes of a job's name."""

import pytest

from crosstune.core.errors import UserError
from crosstune.machine.slurm import check_names, in_slurm_job


def test_a_job_is_known_by_its_number():
    assert in_slurm_job({"SLURM_JOB_ID": "3"})
    assert not in_slurm_job({"SLURM_CONF": "/etc/slurm/slurm.conf"})


def test_a_path_too_long_for_the_folder_of_its_logs_is_told():
    check_names(["a/" * 127 + "b"])
    with pytest.raises(UserError, match="257 bytes are too long"):
        check_names(["short", "a/" * 128 + "b"])
