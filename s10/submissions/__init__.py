"""Five published submissions for the assignment, reproduced with their mistakes."""

from s10.submissions.pitfalls import PITFALLS, Pitfall
from s10.submissions.published import SUBMISSIONS, Submission

__all__ = ["PITFALLS", "SUBMISSIONS", "Pitfall", "Submission"]
