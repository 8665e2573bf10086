"""Everything that is shown, as HTML: takes what the page of the same name takes."""

from fractal_jupyter.display.activities import activities_page, activity_page
from fractal_jupyter.display.images import dataset_page, datasets_page, images_page
from fractal_jupyter.display.job import folders_page, job_page, jobs_page, steps_page
from fractal_jupyter.display.render_html import as_html
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

activities_html = as_html(activities_page)
activity_html = as_html(activity_page)
checks_html = as_html(checks_page)
dataset_html = as_html(dataset_page)
datasets_html = as_html(datasets_page)
folders_html = as_html(folders_page)
found_tasks_html = as_html(found_tasks_page)
images_html = as_html(images_page)
job_html = as_html(job_page)
jobs_html = as_html(jobs_page)
plan_html = as_html(plan_page)
profiles_html = as_html(profiles_page)
resource_html = as_html(resource_page)
resources_html = as_html(resources_page)
steps_html = as_html(steps_page)
task_group_html = as_html(task_group_page)
task_groups_html = as_html(task_groups_page)
task_html = as_html(task_page)
tasks_html = as_html(tasks_page)
units_html = as_html(units_page)
unused_html = as_html(unused_page)
update_html = as_html(update_page)
updates_html = as_html(updates_page)
workflow_html = as_html(workflow_page)
workflows_html = as_html(workflows_page)
