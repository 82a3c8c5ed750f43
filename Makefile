# Sterna's verbs. Each works alone on a fresh Debian 12 machine that has Rust, git, make and root.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

# What each package is for; `make deps` installs only those that are missing.
PACKAGES := \
	clang:compiles-the-XDP-program-and-gives-libclang-to-bindgen \
	pkg-config:finds-libelf \
	libelf-dev:libbpf-reads-ELF-files \
	m4:part-of-the-build-of-libxdp \
	iproute2:builds-the-network-namespaces-of-the-lab \
	ethtool:turns-offloads-off-at-the-hosts-of-the-lab \
	tcpdump:the-witness-in-the-underlay-of-the-lab \
	tshark:the-foreign-judge-of-our-packets \
	valgrind:counts-instructions-per-packet-where-time-cannot-be-measured \
	chromium:opens-the-page-of-sterna-perf-report-in-its-test

CARGO ?= cargo

.PHONY: help
help: ## This list.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

.PHONY: deps
deps: ## Installs the Debian packages that are missing, and says why each is needed.
	@missing=""; \
	for entry in $(PACKAGES); do \
		name=$${entry%%:*}; why=$${entry#*:}; \
		if ! dpkg-query -W -f='$${Status}' "$$name" 2>/dev/null | grep -q "install ok installed"; then \
			echo "deps: $$name is missing ($${why//-/ })"; missing="$$missing $$name"; \
		fi; \
	done; \
	if [ -n "$$missing" ]; then \
		[ "$$(id -u)" = 0 ] || { echo "deps: only root can install:$$missing"; exit 1; }; \
		apt-get update -qq; \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
	@command -v $(CARGO) >/dev/null || { echo "deps: cargo is missing; install Rust 1.95 or newer (rustup)"; exit 1; }

.PHONY: build
build: deps ## Release build of all programs.
	$(CARGO) build --release --locked --workspace --bins

.PHONY: demo
demo: build ## Two sites in network namespaces, real packets, real proofs (root, under a minute once built).
	./target/release/sterna demo

.PHONY: check
check: deps ## Formatting and lints.
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

.PHONY: test
test: check ## Everything: check, unit, property, golden, model and lab tests (root for the lab).
	$(CARGO) build --locked --workspace --bins
	$(CARGO) build --release --locked -p sterna-perf
	if $(CARGO) nextest --version >/dev/null 2>&1; then \
		$(CARGO) nextest run --locked --workspace --no-fail-fast; \
	else \
		$(CARGO) test --locked --workspace --no-fail-fast -- --test-threads=2; \
	fi
	$(MAKE) --no-print-directory model

.PHONY: model
model: deps ## Loom: every interleaving of rings, tables and reclamation, within bounds.
	RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 $(CARGO) test --locked --release --target-dir target/loom \
		-p sterna-table -p sterna-shm --lib loom

.PHONY: bench
bench: build ## The quick set, under five minutes: pipeline beside the bare floor, reaction, and the lab (root).
	./target/release/sterna-perf bench
