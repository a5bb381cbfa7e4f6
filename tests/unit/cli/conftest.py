from tests.cli_runner import caxton

__all__ = ["caxton"]
