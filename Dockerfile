# One image for every party; which one a container is, its command says.
FROM python:3.11-slim

WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock

COPY pyproject.toml README.md ./
COPY schemas schemas
COPY silenthit silenthit
COPY producers producers
COPY key_holder key_holder
COPY stream_processors stream_processors
COPY consumers consumers
COPY samples samples
COPY deploy/compose deploy/compose
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
    && useradd --create-home silenthit \
    && for party in keyholder exchange agency partner handover; do \
         install -d -o silenthit -m 700 "/var/lib/silenthit/$party"; done

USER silenthit
WORKDIR /var/lib/silenthit
ENTRYPOINT ["silenthit"]
CMD ["--help"]
