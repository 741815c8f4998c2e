"""The dashboard: an ASGI app over a manager; needs the extra ``dashboard``.

``seawall dashboard`` serves it by itself; ``dashboard_app`` makes one to be mounted into a FastAPI
or Starlette app of yours.
"""

from seawall.dashboard.app import dashboard_app
from seawall.dashboard.user import Authenticate, Role, User

__all__ = ["Authenticate", "Role", "User", "dashboard_app"]
