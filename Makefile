# What there is to do here. `make run` needs Rust and nothing else; `make test` needs clients of
# Redis and of gRPC, a browser and a PostgreSQL too, and installs them if they are missing.

CARGO ?= cargo
# make fuzz ITERATIONS=…
ITERATIONS ?= 2000000
# What a release has beyond a first build.
FEATURES = evenkeel/grpc,evenkeel/tls
EVENKEEL = $(CARGO) run --release --quiet -p evenkeel --

.PHONY: run test clients check bench drill audit fuzz docs setup

# A server to play with, on this machine: prints its address and a first request.
run:
	$(CARGO) run --release -p evenkeel -- dev

test: clients
	$(CARGO) test --workspace --features $(FEATURES)

# Real clients, which the tests drive: redis-tools, Chromium, and beside what is built redis-py, ioredis,
# puppeteer-core, and gRPC's for Python with Envoy's messages. PostgreSQL and its client are for an example.
clients:
	crates/cli/tests/clients/setup
	crates/cli/tests/clients/setup-envoy
	examples/consumer/setup python

# Format, lints, dependencies, and the checks of the tree itself. Without cargo-deny, which takes
# minutes to build, licences and sources are checked by the last of these alone.
check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --features $(FEATURES) -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then \
	  cargo deny check bans licenses sources; \
	else \
	  echo "cargo-deny is not installed: bans are not checked (make setup installs it)"; \
	fi
	$(CARGO) test -p evenkeel-tidy

# Beside PostgreSQL, Redis and others, which it installs if they are missing. BENCHMARKS.md says more.
bench:
	bench/run
	bench/limits
	bench/jobs
	bench/chat
	bench/feed

# The proofs: simulated faults, every guarantee taken away in turn, the real binary killed.
drill:
	$(EVENKEEL) drill sim
	$(EVENKEEL) drill breakages
	$(EVENKEEL) drill crash

# Known vulnerabilities; needs the internet.
audit:
	cargo deny check advisories

# The parsers' tests on hostile input, for longer than `make test` runs them.
fuzz:
	EVENKEEL_FUZZ_ITERATIONS=$(ITERATIONS) $(CARGO) test --release --workspace --features $(FEATURES) -- \
	  hostile damaged_files no_text_breaks no_line_breaks bodies_of_any

# Writes the tables in docs/ that come from the code.
docs:
	EVENKEEL_WRITE_DOCS=1 $(CARGO) test -p evenkeel-tidy generated

# What `check`, `audit` and `bench` use beside Rust, once.
setup:
	rustup component add rustfmt clippy
	$(CARGO) install cargo-deny --locked
