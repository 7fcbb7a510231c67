# Everything a developer or an operator runs. `make` lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules

# sudo drops the directory that Go's own installer uses.
export PATH := $(PATH):/usr/local/go/bin
# A checkout that belongs to another user must build too; the version is set below instead.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
PLUGINS  := $(sort $(wildcard plugins/*-*))
EXAMPLES := $(sort $(patsubst %/go.mod,%,$(wildcard plugins/example/*/go.mod)))
TOOLS    := $(CURDIR)/bin/tools
# Given to the program that a target runs: make run ARGS="--listen 127.0.0.1:8080"
ARGS ?=
# Packages tested at once. Many start a PostgreSQL, an ffmpeg and a whole daemon: more than the cores gain nothing.
TEST_PARALLEL ?= 2
TEST_TIMEOUT  ?= 14m

##@ Use
.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: deps build ## Build and run the daemon (ARGS="--listen …", LUBOD_… variables)
	@exec bin/lubod server $(ARGS)

.PHONY: demo
demo: deps build ## Run the whole system against a simulated Bilibili, up to the archive
	@exec bin/lubod-sim demo $(ARGS)

.PHONY: deps
deps: packages bin/.modules ## Install what is missing: PostgreSQL, ffmpeg, curl; download Go modules once

.PHONY: packages
packages:
	@scripts/deps.sh run

.PHONY: build
build: ## Build bin/lubod, bin/lubod-sim and bin/plugins/*
	@mkdir -p bin/plugins
	@echo "building lubod and lubod-sim (the first time takes some minutes)"
	@go build -ldflags '-X main.version=$(VERSION)' -o bin/ ./cmd/...
	@for plugin in $(PLUGINS); do echo "building $$plugin"; go build -o bin/plugins/ "./$$plugin"; done

##@ Develop
.PHONY: test
test: deps build ## Run all tests, with the race detector
	@scripts/deps.sh test
	go test -race -count=1 -p $(TEST_PARALLEL) -timeout $(TEST_TIMEOUT) ./...
	@for module in $(EXAMPLES); do echo "go test $$module"; (cd $$module && go test -race -count=1 -timeout $(TEST_TIMEOUT) ./...); done

RUNS ?= 20
SEED ?= 0

.PHONY: crash
crash: deps build ## Kill and cut everything at random, then look for every frame (RUNS=200 SEED=7)
	@exec bin/lubod-sim crash --runs $(RUNS) --seed $(SEED) $(ARGS)

.PHONY: bench
bench: deps ## Run all benchmarks
	go test -run '^$$' -bench . -benchmem -timeout 60m ./...

.PHONY: fmt
fmt: ## Format the Go code
	@gofmt -s -w $(GO_DIRS)

.PHONY: gen
gen: $(TOOLS)/.built ## Generate code from the .proto files, openapi.yaml and the SQL queries
	@PATH="$(TOOLS):$$PATH" buf generate
	@cd db && for file in *.sql.gen.go; do [ -e "queries/$${file%.gen.go}" ] || rm -f "$$file"; done
	@$(TOOLS)/sqlc generate
	@$(TOOLS)/oapi-codegen -config host/internal/api/oapi-codegen.yaml host/internal/api/openapi.yaml

.PHONY: verify
verify: $(TOOLS)/.built ## Check generated code, lint, import rules, wire compatibility, format, modules
	@scripts/verify.sh $(TOOLS) $(EXAMPLES)

GO_DIRS := cmd db host plugins sdk tools

# Modules are downloaded whenever the lists of them change: afterwards everything here works offline.
bin/.modules: go.mod go.sum $(foreach module,$(EXAMPLES),$(module)/go.mod $(wildcard $(module)/go.sum)) | packages
	@mkdir -p bin
	@echo "downloading Go modules (once, and whenever their list changes)"
	@for module in . $(EXAMPLES); do (cd $$module && go mod download) || \
		{ echo "deps: cannot download the Go modules of $$module (no network?)" >&2; exit 1; }; done
	@touch $@

# The generators and linters are heavy: they are built once for each state of their list.
$(TOOLS)/.built: tools/go.mod tools/go.sum
	@echo "building the tools of tools/go.mod, which takes some minutes once"
	@cd tools && GOBIN=$(TOOLS) go install tool
	@touch $@
