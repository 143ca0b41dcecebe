"""What a WSGI server imports: the app on the settings of the environment."""

from __future__ import annotations

from backpropd.settings import Settings
from service.app import create_app

app = create_app(Settings())
