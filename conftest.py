"""What holds for every test of this repository."""

from hypothesis import HealthCheck, settings

# How long an example takes says more about the machine, and who else uses it, than about the code.
settings.register_profile(
    "unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")
