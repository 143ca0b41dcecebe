# One image for every process of a deployment: the command says which one it is.
# docker-compose.yml shows them together.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY backpropd backpropd
COPY service service
COPY worker worker
COPY migrations migrations
RUN python -m venv /opt/backpropd \
    && /opt/backpropd/bin/pip install --no-cache-dir '.[export,parquet,postgres]'

FROM python:3.13-slim
# No shell, no home, no right to write anywhere but /tmp: training needs none of them.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin backpropd
COPY --from=build /opt/backpropd /opt/backpropd
ENV PATH=/opt/backpropd/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 \
    MKL_NUM_THREADS=1
USER 10001
WORKDIR /tmp
EXPOSE 8000
ENTRYPOINT ["backpropd"]
CMD ["--help"]
