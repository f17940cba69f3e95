FROM --platform=$BUILDPLATFORM golang:1.26.8 AS builder

WORKDIR /workspace

# The modules are a layer of their own: it changes only with go.mod and go.sum.
COPY go.mod go.sum ./
RUN go mod download

COPY main.go flags.go ./
COPY api/ api/
COPY cmd/ cmd/
COPY config/crd/ config/crd/
COPY internal/ internal/
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
RUN CGO_ENABLED=0 GOOS=${TARGETOS:-linux} GOARCH=${TARGETARCH} \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o manager . && \
    CGO_ENABLED=0 GOOS=${TARGETOS:-linux} GOARCH=${TARGETARCH} \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o kubectl-backupsync ./cmd/kubectl-backupsync

FROM gcr.io/distroless/static:nonroot
COPY --from=builder /workspace/manager /workspace/kubectl-backupsync /
USER 65532:65532
ENTRYPOINT ["/manager"]
