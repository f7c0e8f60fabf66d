"""What the notebooks need around the lesson."""

from s10.course import exercises, figures, reference
from s10.course.env import NotebookEnv, setup, show

__all__ = ["NotebookEnv", "exercises", "figures", "reference", "setup", "show"]
