"""git hub-session: sessions of parallel coding agents in one git repository.

The names of the Python interface are imported when they are used: `list` does not need them.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from git_hub_session.api import *


def __getattr__(name: str) -> object:
    if name.startswith("_"):  # Python asks for names such as __path__ in each import
        raise AttributeError(name)
    api = __import__("git_hub_session.api", fromlist=["__all__"])
    if name in api.__all__:
        return getattr(api, name)
    raise AttributeError(f"module 'git_hub_session' has no attribute '{name}'")
