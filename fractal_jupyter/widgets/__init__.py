"""Forms, editors, browsers and monitors for notebooks, made with ipywidgets.

They are made by methods of the client: `fractal.form`, `fractal.resources.editor`,
`fractal.profiles.editor`, `dataset.browser` and `job.monitor`.
"""

from fractal_jupyter.widgets.dataset_browser import DatasetBrowser
from fractal_jupyter.widgets.editors import DocumentEditor, profile_editor, resource_editor
from fractal_jupyter.widgets.job_monitor import JobMonitor
from fractal_jupyter.widgets.task_form import TaskForm

__all__ = [
    "DatasetBrowser",
    "DocumentEditor",
    "JobMonitor",
    "TaskForm",
    "profile_editor",
    "resource_editor",
]
