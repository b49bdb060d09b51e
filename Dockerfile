# One image for every pod: code location, daemon, webserver, run and step pods, endpoint.
#
#   docker build -t mlops-assets:1 .
#   docker build -t mlops-assets:1 --build-arg EXTRAS=k8s,torch --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu .
#   docker build -t mlops-assets:1-gpu --build-arg EXTRAS=k8s,torch --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
#
# TORCH_INDEX says for what torch is built: here the CPU, and CUDA 13. Without it, it is as PyPI has it.
ARG BASE=python:3.11-slim
FROM ${BASE}

ARG EXTRAS=k8s
ARG TORCH_INDEX=

# LightGBM is linked against OpenMP, which slim images lack.
RUN apt-get update \
    && apt-get install --no-install-recommends -y libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home mlops \
    && install -d -o mlops /var/lib/mlops-assets /opt/dagster

# The code lies where the code location, the run pods and the step pods all look for it.
WORKDIR /opt/mlops-assets

# Dependencies first: a change of the code then costs no install.
COPY pyproject.toml constraints.txt ./
RUN install -D /dev/null mlops_assets/__init__.py \
    && pip install --no-cache-dir -c constraints.txt ${TORCH_INDEX:+--extra-index-url "${TORCH_INDEX}"} -e ".[${EXTRAS}]"
COPY dagster.yaml workspace.yaml ./
COPY mlops_assets mlops_assets

ENV PYTHONUNBUFFERED=1 \
    MLOPS_ASSETS_ROOT=/opt/mlops-assets \
    MLOPS_ASSETS_HOME=/var/lib/mlops-assets \
    DAGSTER_HOME=/opt/dagster \
    MLFLOW_DISABLE_TELEMETRY=true \
    WHYLOGS_NO_ANALYTICS=1 \
    DO_NOT_TRACK=true

USER 10001
CMD ["mlops-assets", "--help"]
