"""What holds for every test: how Hypothesis searches."""

from hypothesis import HealthCheck, settings

# No deadline: the machines that run this are shared. No database: the same tree gives the same run.
settings.register_profile(
    "project",
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("project")
