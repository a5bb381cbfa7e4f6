import tomllib
from pathlib import Path

from caxton.version import VERSION


def test_version_is_the_one_of_the_package() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == VERSION
