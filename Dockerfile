# The image of an installed Stateward: docker build -t stateward:0.1.0 .
# What is in it, manifests/image.sh lays into any folder: make image-root FOLDER=…
FROM python:3.11-slim AS build
WORKDIR /src
COPY . .
RUN sh manifests/image.sh /image

FROM python:3.11-slim
COPY --from=build /image/ /
ENV HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
EXPOSE 8443
ENTRYPOINT ["/opt/stateward/bin/stateward"]
CMD ["serve", "--in-cluster", "--host=0.0.0.0"]
