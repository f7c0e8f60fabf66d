"""Five published submissions for the assignment, reproduced as they were, mistakes included."""

from s10.submissions.published import SUBMISSIONS, Submission

__all__ = ["SUBMISSIONS", "Submission"]
