# What people type. Each target is a script or a swift command that can also be run by hand.

CONFIG ?= debug
SEEDS ?= 20000
export PATH := $(CURDIR)/.build/release:$(PATH)

.PHONY: help setup build demo up compose test check lint format simulate bench soak clean

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Install what is missing on Debian or Ubuntu (libzmq3-dev, bubblewrap)
	@Scripts/setup.sh

build: setup ## Build the release products
	@Scripts/build.sh

demo: build ## Start a mesh of real processes and walk through it
	@Scripts/demo.sh

up: build ## Start a mesh of the plugins in this repository and leave it running
	@.build/release/wiz up --mesh mesh.yaml

compose: setup ## Run compose.yaml, with Docker or podman, and check what it promises
	@Scripts/try-compose.sh

test: setup ## Run every check and every test
	@Scripts/test.sh

check: lint ## Check format, import arrows and prose
lint:
	@Scripts/lint.sh

format: ## Rewrite the sources in the house format
	@swift format -i -p -r Sources Tests broker plugins Benchmarks/Sources Package.swift

simulate: setup ## Run the seeded simulation: make simulate SEEDS=20000
	@Scripts/simulate.sh $(SEEDS)

bench: setup ## Measure the mesh against a bare relay and NATS
	@Scripts/bench.sh

soak: setup ## Run a million calls and look for leaks
	@Scripts/soak.sh

clean: ## Remove what was built
	@rm -rf .build Benchmarks/.build
