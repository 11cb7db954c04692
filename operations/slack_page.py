"""Draws Slack messages as an HTML page: colour, title, text, fields, buttons, newest first."""

import re
from collections.abc import Sequence
from datetime import datetime
from html import escape, unescape
from typing import Any

REFRESH_SECONDS = 3
_DEFAULT_COLOR = "#94a3b8"
# What Slack understands beside a hexadecimal colour.
_NAMED_COLORS = {"good": "#22c55e", "warning": "#f59e0b", "danger": "#ef4444"}

_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1d1c1d;--muted:#616061;--line:#ddd;--link:#1264a3;--wash:#f8f8f8}
@media(prefers-color-scheme:dark){:root{--bg:#1a1d21;--fg:#e8e8e8;--muted:#ababad;--line:#3f4247;--link:#58a6e0;--wash:#222529}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.47 system-ui,sans-serif}
header{position:sticky;top:0;padding:.7rem 1rem;border-bottom:1px solid var(--line);background:var(--bg)}
h1{display:inline;font-size:1.1rem;margin:0 .6rem 0 0}
header span{color:var(--muted);font-size:.85rem}
main{max-width:52rem;margin:0 auto;padding:.5rem 1rem 3rem}
article{display:flex;gap:.7rem;padding:.8rem 0}
.avatar{flex:none;width:2.25rem;height:2.25rem;border-radius:.4rem;background:#334155;color:#fff;font-weight:700;text-align:center;line-height:2.25rem}
.body{flex:1;min-width:0}
time{color:var(--muted);font-size:.8rem;margin-left:.4rem}
.attachment{border-left:4px solid;border-radius:3px;padding:.15rem 0 .15rem .8rem;margin-top:.3rem;overflow-wrap:anywhere}
.title{font-weight:700;color:var(--link);text-decoration:none}
.text{white-space:pre-line;margin:.2rem 0 .5rem}
dl{display:grid;grid-template-columns:1fr 1fr;gap:.4rem 1rem;margin:.4rem 0 .7rem}
dt{font-weight:700;font-size:.85rem}
dd{margin:0}
.button{display:inline-block;padding:.25rem .8rem;margin:0 .4rem .4rem 0;border:1px solid var(--line);border-radius:.3rem;background:var(--wash);color:var(--fg);font-weight:600;text-decoration:none}
.empty{color:var(--muted);text-align:center;padding:3rem 0}
"""  # noqa: E501 - one rule of CSS per line


def render_page(
    messages: Sequence[dict[str, Any]], beats: int, last_beat: datetime | None, now: datetime
) -> str:
    """Return the whole page for stored messages, oldest first."""
    shown = "".join(_message(stored) for stored in reversed(messages))
    if last_beat is None:
        watchdog = "Watchdog: no beat yet"
    else:
        watchdog = f"Watchdog: {beats} beats, the last {(now - last_beat).total_seconds():.0f} s ago"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">'
        f"<title>({len(messages)}) Slack sink</title><style>{_STYLE}</style></head><body>"
        f"<header><h1># ml-alerts</h1><span>{len(messages)} messages kept here, none sent to Slack. "
        f"{watchdog}.</span></header><main>"
        f"{shown or '<p class=empty>No message yet. An alert that fires will appear here.</p>'}"
        "</main></body></html>"
    )


def _message(stored: dict[str, Any]) -> str:
    message = stored["message"]
    sender = _string(message.get("username")) or "Alertmanager"
    moment = datetime.fromisoformat(stored["received"])
    body = _paragraph(message.get("text")) + "".join(map(_attachment, _objects(message.get("attachments"))))
    return (
        f'<article><div class="avatar">{escape(sender[:1])}</div><div class="body"><b>{escape(sender)}</b>'
        f'<time datetime="{moment.isoformat()}">{moment:%Y-%m-%d %H:%M:%S} UTC</time>{body}</div></article>'
    )


def _attachment(attachment: dict[str, Any]) -> str:
    title = _link("title", attachment.get("title"), attachment.get("title_link"))
    fields = "".join(
        f"<div><dt>{_markup(field.get('title'))}</dt><dd>{_markup(field.get('value'))}</dd></div>"
        for field in _objects(attachment.get("fields"))
    )
    buttons = "".join(
        _link("button", action.get("text"), action.get("url"))
        for action in _objects(attachment.get("actions"))
    )
    return (
        f'<div class="attachment" style="border-color:{_color(attachment.get("color"))}">{title}'
        f"{_paragraph(attachment.get('text'))}{fields and f'<dl>{fields}</dl>'}{buttons}</div>"
    )


def _color(color: object) -> str:
    text = _string(color)
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return text
    return _NAMED_COLORS.get(text, _DEFAULT_COLOR)


def _link(css_class: str, label: object, url: object) -> str:
    # Another scheme than these could run a script in this page.
    if not (address := _string(url)).startswith(("http://", "https://")):
        return f'<span class="{css_class}">{_markup(label)}</span>'
    # Without referrer and opener the page that opens learns nothing of this one.
    return (
        f'<a class="{css_class}" href="{escape(address)}" target="_blank" rel="noreferrer noopener">'
        f"{_markup(label)}</a>"
    )


def _paragraph(text: object) -> str:
    return f'<div class="text">{_markup(text)}</div>' if _string(text) else ""


def _markup(text: object) -> str:
    """Return the text as Slack would show it: its three entities, bold and struck out."""
    shown = escape(unescape(_string(text).strip()))
    shown = re.sub(r"(?<!\w)\*([^*\n]+)\*(?!\w)", r"<b>\1</b>", shown)
    return re.sub(r"(?<!\w)~([^~\n]+)~(?!\w)", r"<s>\1</s>", shown)


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
