"""Everything that is shown, as text for terminals: takes what the page of the same name takes."""

from fractal_jupyter.display.activities import activities_page, activity_page
from fractal_jupyter.display.images import dataset_page, datasets_page, images_page
from fractal_jupyter.display.job import folders_page, job_page, jobs_page, steps_page
from fractal_jupyter.display.render_text import as_text
from fractal_jupyter.display.resources import (
    checks_page,
    profiles_page,
    resource_page,
    resources_page,
)
from fractal_jupyter.display.task_groups import task_group_page, task_groups_page, unused_page
from fractal_jupyter.display.tasks import (
    found_tasks_page,
    task_page,
    tasks_page,
)
from fractal_jupyter.display.units import units_page
from fractal_jupyter.display.workflows import (
    plan_page,
    update_page,
    updates_page,
    workflow_page,
    workflows_page,
)

activities_text = as_text(activities_page)
activity_text = as_text(activity_page)
checks_text = as_text(checks_page)
dataset_text = as_text(dataset_page)
datasets_text = as_text(datasets_page)
folders_text = as_text(folders_page)
found_tasks_text = as_text(found_tasks_page)
images_text = as_text(images_page)
job_text = as_text(job_page)
jobs_text = as_text(jobs_page)
plan_text = as_text(plan_page)
profiles_text = as_text(profiles_page)
resource_text = as_text(resource_page)
resources_text = as_text(resources_page)
steps_text = as_text(steps_page)
task_group_text = as_text(task_group_page)
task_groups_text = as_text(task_groups_page)
task_text = as_text(task_page)
tasks_text = as_text(tasks_page)
units_text = as_text(units_page)
unused_text = as_text(unused_page)
update_text = as_text(update_page)
updates_text = as_text(updates_page)
workflow_text = as_text(workflow_page)
workflows_text = as_text(workflows_page)
