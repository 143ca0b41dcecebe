"""What every view needs: the database and the bell of the app that serves the request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app

from backpropd.settings import Settings
from backpropd.store.database import Database
from service.bell import Bell
from service.streams import Streams

KEY = "backpropd"


@dataclass(slots=True)
class Context:
    """The app's connections."""

    settings: Settings
    database: Database
    bell: Bell
    streams: Streams


def attach(app: Flask, context: Context) -> None:
    """Give an app its connections."""
    app.extensions[KEY] = context


def context() -> Context:
    """The connections of the current app."""
    return cast("Context", current_app.extensions[KEY])


def database() -> Database:
    """The database of the current app."""
    return context().database
