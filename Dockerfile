# Targets: `predictor` (the default, what serves) and `tools` (configuration, Slack sink, load). See docs/running.md.
FROM docker.io/library/python:3.13-slim AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app

FROM base AS packages
RUN python -m venv /opt/venv
COPY requirements.txt ./
# Wheels only: nothing is compiled, and no package runs code of its own while it is installed.
RUN pip install --no-cache-dir --require-hashes --only-binary :all: --requirement requirements.txt

# Trained here and not copied from the host: a bundle is refused by other library versions than it was packed with.
FROM packages AS bundles
COPY service service
COPY training training
COPY bundles/routing.toml /bundles/routing.toml
RUN python -m training --out /bundles && mkdir -m 700 /prediction_log

FROM packages AS tools
COPY requirements-dev.txt ./
RUN pip install --no-cache-dir --require-hashes --only-binary :all: --requirement requirements.txt --requirement requirements-dev.txt
COPY service service
COPY training training
COPY operations operations
COPY prometheus prometheus
COPY alertmanager alertmanager
COPY grafana grafana
COPY loadtest loadtest
# A named volume takes its owner from the folder that it covers.
RUN mkdir /configuration /boards && chown 10001:10001 /configuration /boards
USER 10001:10001
CMD ["python", "-m", "operations", "--help"]

FROM base AS predictor
COPY --from=packages /opt/venv /opt/venv
COPY --from=bundles /bundles bundles
COPY service service
COPY operations/supervisord.conf supervisord.conf
ENV PLUMBLINE_METRICS_DIR=/tmp/plumbline-metrics \
    PLUMBLINE_LOG_DIR=/prediction_log
# A named volume takes its owner from the folder that it covers.
COPY --from=bundles --chown=10001:10001 /prediction_log /prediction_log
USER 10001:10001
EXPOSE 8000 9101
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ.get('PLUMBLINE_PORT', '8000')}/ready\", timeout=4)"]
# Bad settings end the container with one line and status 78, instead of being tried again for ever.
CMD ["sh", "-c", "python -m service.gunicorn_conf && exec python -W ignore -m supervisor.supervisord -c supervisord.conf"]
