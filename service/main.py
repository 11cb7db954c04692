"""The application that Gunicorn loads: `service.main:app`."""

from __future__ import annotations

import sys

from service.bootstrap import build_app
from service.errors import SettingsError
from service.settings import load_settings

try:
    app = build_app(load_settings())
except SettingsError as error:
    sys.exit(f"plumbline: {error}")
