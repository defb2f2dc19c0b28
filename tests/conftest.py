"""What every test has: the repository's root on the path, so that `tests.…` can be imported."""

from hypothesis import settings

settings.register_profile("default", deadline=None)
settings.load_profile("default")
