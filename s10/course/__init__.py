"""What the notebooks need around the lesson."""

from s10.course import exercises, figures, reference
from s10.course.env import NotebookEnv, setup, show
from s10.course.upload import own_pictures

__all__ = ["NotebookEnv", "exercises", "figures", "own_pictures", "reference", "setup", "show"]
