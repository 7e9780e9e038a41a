"""What SLURM tells a job, and what its plugin makes of a job's name."""

import pytest

from crosstune.cluster import check_names, check_tasks, in_a_job
from crosstune.errors import UserError


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"SLURM_JOB_ID": "3", "SLURM_NTASKS": "1"},
        {"SLURM_JOB_ID": "3", "SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "1"},
        {"SLURM_JOB_ID": "3", "SLURM_NTASKS": "4", "WORLD_SIZE": "4", "RANK": "2"},
    ],
)
def test_one_training_may_start(environ):
    check_tasks(environ)


@pytest.mark.parametrize("variable", ["SLURM_NTASKS", "SLURM_STEP_NUM_TASKS"])
def test_several_trainings_of_the_same_are_refused_with_the_line_that_cures_it(variable):
    with pytest.raises(UserError, match="SLURM gives the job 2 tasks") as caught:
        check_tasks({"SLURM_JOB_ID": "3", variable: "2"})
    assert "default-resources: {tasks: 0}" in caught.value.cure
    assert "--ntasks=1" in caught.value.cure


def test_a_job_is_known_by_its_number():
    assert in_a_job({"SLURM_JOB_ID": "3"})
    assert not in_a_job({"SLURM_CONF": "/etc/slurm/slurm.conf"})


def test_a_path_too_long_for_the_folder_of_its_logs_is_told():
    check_names(["a/" * 127 + "b"])
    with pytest.raises(UserError, match="257 bytes are too long"):
        check_names(["short", "a/" * 128 + "b"])
