# Slipway: build, test, install. `make help` lists the targets.
#
# There is one build configuration, release with tests, so that what is tested is what runs.

PREFIX ?= /usr/local
DESTDIR ?=

version := $(shell sed -n 's/^package let slipwayVersion = "\(.*\)"/\1/p' Sources/SlipwayDomain/Version.swift)
arch := $(shell uname -m)
binary := .build/release/slipway
archive := slipway-$(version)-linux-$(arch)

# The OpenMP build of OpenBLAS, which shares its threads with oneDNN, XGBoost and our kernels. The pthread build has the
# same name, and would come first by the system's alternatives.
link := -Xlinker -rpath=/usr/lib/$(arch)-linux-gnu/openblas-openmp
swift := swift
# SwiftPM writes the settings of some packages in the order of a hash table. In another order it compiles them again.
build := SWIFT_DETERMINISTIC_HASHING=1 $(swift) build -c release $(link)
parallel := SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH=8
tests := $(parallel) $(swift) test -c release --skip-build --disable-xctest

# Benchmarks. The peers lie beside the repository; their Python packages go to an environment outside of it. Times, memory and losses can be
# measured in pieces: each adds lines to BENCH_OUT, of which `make bench-table` makes the table.
PEERS ?= ../shared/bench/peers
PYTHON ?= python3.11
BENCH_VENV ?= $(HOME)/.cache/slipway/peers
BENCH_OUT ?= .build/bench
BENCH_WORKLOADS ?= train
BENCH_ROUNDS ?= 5
keel := $(CURDIR)/.build/release/keel-bench
bench_python := $(BENCH_VENV)/bin/python
measured := --peers $(PEERS) --out $(BENCH_OUT)

# The test directories of the ONNX project, from the last release that carries them all.
ONNX_VERSION := 1.18.0
ONNX_DATA ?= $(HOME)/.cache/slipway/onnx-$(ONNX_VERSION)

.PHONY: help setup quickstart up build test acceptance api models-check sanitize fuzz install dist clean bench bench-build bench-peers bench-times bench-memory bench-losses bench-table onnx-conformance onnx-export-check

help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s%s\n", $$1, $$2 }' Makefile

setup: ## installs the Debian packages that are missing
	@command -v $(swift) >/dev/null || { echo "Swift is not on the PATH: see https://www.swift.org/install/linux" >&2; exit 1; }
	@ops/setup

quickstart: setup ## builds, then shows the whole way from data to predictions on two real data sets
	$(build) --product slipway
	@$(binary) quickstart

up: setup ## builds and runs the platform until Ctrl-C
	$(build) --product slipway
	@$(binary) up

build: setup ## builds everything, tests included
	$(build) --build-tests

# Keel's tests fill every core for half a minute, in which a database would be waited for in vain. Swift Testing would start all
# tests at once; with eight at a time no test waits for hundreds of others. A budget in seconds is kept on a machine that has time.
define acceptance_tests
$(tests) --filter AcceptanceTests --skip BudgetTests
$(tests) --filter BudgetTests
endef

# Kernels, BLAS and oneDNN as they are on a processor without AVX2.
plain_tests := OPENBLAS_CORETYPE=Nehalem DNNL_MAX_CPU_ISA=SSE41 $(parallel) .build/release/keel-plain-tests

test: build ## builds everything and runs the tests; those that drive the real binary come last and alone
	$(tests) --filter '^Keel'
	$(plain_tests)
	$(tests) --skip '^Keel|AcceptanceTests|ExamplesTests'
	$(tests) --filter ExamplesTests
	$(acceptance_tests)

acceptance: build ## only the tests that drive the real binary over HTTP
	$(acceptance_tests)

api: build ## writes the lists of Keel's public names anew
	SLIPWAY_WRITE_GOLDEN=api $(tests) --filter KeelAPITests

# Without optimisation, which would take minutes more and find no more. Only C has the undefined-behaviour sanitizer: Swift checks itself.
# Leaks aren't looked for: pools and the run-time libraries keep their memory until the process ends.
sanitizing_build := SWIFT_DETERMINISTIC_HASHING=1 $(swift) build $(link) --sanitize=address -Xcc -fsanitize=undefined
# Without Swift's backtracer, which was seen to hang when a fuzzed program crashed; the sanitizer has its own report. A test asks for more memory than there is.
sanitized := SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

sanitize: setup ## runs Keel's tests under the address and undefined-behaviour sanitizers
	$(sanitizing_build) --product keel-tests --scratch-path .build/sanitize
	$(sanitized) $(parallel) .build/sanitize/debug/keel-tests

DECODER ?= png
SECONDS ?= 60
fuzz_folder := .build/fuzz/found/$(DECODER)
# `--sanitize=fuzzer` links libFuzzer, but has only C report which branches are taken.
fuzzing := --sanitize=fuzzer -Xswiftc -sanitize-coverage=edge,inline-8bit-counters,pc-table,trace-cmp -Xswiftc -DFUZZING

fuzz: setup ## feeds DECODER (png, jpeg, table, ...) damaged files for SECONDS
	$(sanitizing_build) --product fuzz $(fuzzing) --scratch-path .build/fuzz
	@mkdir -p $(fuzz_folder)
	$(sanitized) .build/fuzz/debug/fuzz $(DECODER) $(fuzz_folder) -max_total_time=$(SECONDS) -timeout=10 -artifact_prefix=$(fuzz_folder)-

models-check: build ## fetches the pretrained models, and compares what they give with REFERENCES, what their own frameworks gave
	@for model in efficientnet-lite0 all-minilm-l6-v2 pp-ocr-v4; do $(binary) models pull $$model || exit 1; done
	SLIPWAY_MODEL_REFERENCES=$(REFERENCES) $(tests) --filter KeelModelsTests

install: setup ## installs to PREFIX (default /usr/local), below DESTDIR if that is set
	$(build) --product slipway
	ops/install $(binary) "$(DESTDIR)" "$(PREFIX)"

dist: setup ## writes dist/slipway-VERSION-linux-ARCH.tar.gz, which runs without Swift
	$(build) --product slipway
	ops/dist $(binary) dist/$(archive)

bench-build: setup
	$(build) --product keel-bench

bench: bench-build ## times Keel on BENCH_WORKLOADS (names or groups), at 1 and 2 threads
	@for threads in 1 2; do $(keel) --workload $(BENCH_WORKLOADS) --threads $$threads --repeat 5; done

$(bench_python):
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/pip install -r $(PEERS)/requirements.txt

bench-peers: ## measures Keel beside its peers, two to three hours, and writes Benchmarks/RESULTS.md
	$(MAKE) bench-times BENCH_WORKLOADS="$(BENCH_WORKLOADS)"
	$(MAKE) bench-times BENCH_WORKLOADS=micro
	$(MAKE) bench-memory
	-$(MAKE) bench-losses
	$(MAKE) bench-table

bench-times: bench-build $(bench_python) ## measures times: BENCH_ROUNDS rounds of BENCH_WORKLOADS, Keel and the peers in turn
	$(bench_python) Benchmarks/Peers/peers.py times $(measured) --keel $(keel) --workload $(BENCH_WORKLOADS) --rounds $(BENCH_ROUNDS)

bench-memory: bench-build $(bench_python) ## measures the memory of BENCH_WORKLOADS
	$(bench_python) Benchmarks/Peers/peers.py memory $(measured) --keel $(keel) --workload $(BENCH_WORKLOADS)

bench-losses: bench-build $(bench_python) ## trains BENCH_WORKLOADS from torch's weights, and compares the losses
	$(bench_python) Benchmarks/Peers/losses.py $(measured) --keel $(keel) --workload $(BENCH_WORKLOADS)

bench-table: $(bench_python) ## writes Benchmarks/RESULTS.md from what was measured
	$(bench_python) Benchmarks/Peers/peers.py table $(measured) --to Benchmarks/RESULTS.md

$(ONNX_DATA)/onnx:
	mkdir -p $(ONNX_DATA)
	$(PYTHON) -m pip download --no-deps --only-binary :all: --dest $(ONNX_DATA) onnx==$(ONNX_VERSION)
	cd $(ONNX_DATA) && $(PYTHON) -m zipfile -e onnx-*.whl .

# Exit code 1 says that some case doesn't pass, which is what the document is for.
onnx-conformance: setup $(ONNX_DATA)/onnx ## runs all test directories of the ONNX project, and writes Benchmarks/ONNX.md
	$(build) --product slipway
	$(binary) onnx verify --report Benchmarks/ONNX.md --title "The $(ONNX_VERSION) release's test directories." $(ONNX_DATA)/onnx/backend/test/data; test $$? -le 1

EXPORTS := .build/onnx-exports
# Named networks with more parameters than that are left out; without a limit, all take 24 GB while they are checked.
EXPORT_PARAMETERS ?= 100000000

onnx-export-check: build $(bench_python) ## runs what Keel exports to ONNX in ONNX Runtime, and compares
	rm -rf $(EXPORTS)
	KEEL_EXPORTS=$(CURDIR)/$(EXPORTS) KEEL_EXPORTS_PARAMETERS=$(EXPORT_PARAMETERS) $(tests) --filter 'exportsAreWritten|quantisedNetworksAreWritten|typesAreWritten|namedNetworksAreWritten'
	$(bench_python) Tests/KeelProgramTests/ONNX/check_exports.py $(EXPORTS)
	rm -rf $(EXPORTS)

clean: ## removes what was built
	rm -rf .build dist
