"""What a person reads when the stack is up."""

from __future__ import annotations

from operations.stack.layout import ROOT, Stack

COMMANDS = ".venv/bin"


def welcome(stack: Stack, *, traffic: bool, detached: bool) -> str:
    """Name each address with what to look at, and two alerts to try."""
    clock = (
        "the demo clock: an hour of the alert rules passes in a minute"
        if stack.factor > 1
        else "the production clock: alerts take minutes to hours"
    )
    local = "" if stack.layout.local == ROOT / ".local" else f" --local {stack.layout.local}"
    addresses = {
        f"{stack.url('predictor')}/docs": "predictor: each model with an example to send from the page",
        f"{stack.url('prometheus')}/alerts": "Prometheus: what each alert waits for, and which ones fire",
        stack.url("alertmanager"): "Alertmanager: what is being sent, silences",
        stack.url("sink"): "Slack sink: the messages as Slack would show them",
        f"{stack.url('exporter')}/metrics": "exporter: the counters of all workers together",
    }
    width = max(map(len, addresses))
    lines = [
        f"Plumbline runs on {clock}.",
        "",
        *(f"  {address:{width}}  {text}" for address, text in addresses.items()),
        "",
        "Try an alert, and watch the sink:",
        f"  {COMMANDS}/plumbline stop predictor{local}",
        "      PredictorDown; `start predictor` brings the resolved message",
        f"  {COMMANDS}/locust --config loadtest/scenarios/slang.conf --host {stack.url('predictor')}",
        "      slang for the model `tickets`: ModelOutOfDistributionHigh after about a minute",
        "",
        f"Programs, models and alerts: {COMMANDS}/plumbline status{local}",
        f"Logs: {stack.layout.log}",
    ]
    if traffic:
        lines.append("A little demo traffic runs already.")
    end = f"{COMMANDS}/plumbline down{local} ends everything." if detached else "Ctrl-C ends everything."
    return "\n".join([*lines, end])
