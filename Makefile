# Everything sets itself up: a machine with git, make and Python 3.11 to 3.13 is enough (see deploy/setup).
# `make` lists what there is.
.DEFAULT_GOAL := help
.PHONY: help run test bad-inputs fuzz tablet-kills crash-trials images load tablet-app lint proto words locks setup clean
BIN := .venv/bin
# Two by default, as on a small machine; `make test WORKERS=8` for a large one.
WORKERS ?= 2
# A worker that crashes ends the run. Tests on a screen have processes of their own: the LLVM of the system's OpenGL driver
# and TensorFlow crash in one. Exit status 5 is "no such tests", as with TESTS=path.
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --max-worker-restart=0 --durations=15

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' Makefile | while IFS=: read -r name text; do printf '  make %-13s%s\n' "$$name" "$$text"; done

run: ## the tablet on the sample MRI, or on your own: make run VOLUME=path (and SERIES=id, where it holds several)
	@sh deploy/setup/environment.sh run
	@[ -n "$$DISPLAY$$WAYLAND_DISPLAY" ] || sh deploy/setup/display.sh
	@exec $(BIN)/calque run $(if $(SERIES),--series '$(subst ','\'',$(SERIES))') $(if $(VOLUME),'$(subst ','\'',$(VOLUME))')

test: lint ## every check and every test, on a virtual screen where there is none
	@sh deploy/setup/display.sh
	@sh deploy/setup/validator.sh
	@sh deploy/setup/object_store.sh
	@echo "Tests …"
	@$(PYTEST) -m "not screen" $(TESTS) || [ $$? -eq 5 ]
	@echo "Tests on a screen …"
	@$(PYTEST) -m screen $(TESTS) || [ $$? -eq 5 ]

bad-inputs: setup ## try every bad input and fault of the list, and print item, test and outcome (in out/bad-inputs.md, too)
	@sh deploy/setup/display.sh
	@$(PYTEST) -m "item and not screen" --items out/bad-inputs.md $(TESTS)

fuzz: setup ## read 20,000 mutations of good files: make fuzz COUNT=1000 SEED=3
	@$(BIN)/python -m tests.fuzz_formats $(or $(COUNT),20000) $(or $(SEED),7)

tablet-kills: setup ## kill the tablet while it is drawn on: make tablet-kills TRIALS=200 SEED=1
	@sh deploy/setup/display.sh
	@$(BIN)/python -m tests.tablet_kills $(or $(TRIALS),200) $(or $(SEED),0)

crash-trials: setup ## kill tablets, server and store while strokes are drawn: make crash-trials TRIALS=2000 STORE=directory
	@[ "$(STORE)" != s3 ] || sh deploy/setup/object_store.sh
	@$(BIN)/python -m tests.crash $(or $(TRIALS),200) $(or $(STORE),directory) --seed $(or $(SEED),0)

images: ## take the install steps of every image here and start what they installed, without a container engine
	@sh deploy/images/check.sh $(ROOMS)

load: setup ## fifty tablets draw for five minutes, then the store is away: make load TABLETS=10 SECONDS=60
	@sh deploy/setup/object_store.sh
	@$(BIN)/python -m tests.load --tablets $(or $(TABLETS),50) --seconds $(or $(SECONDS),300)

tablet-app: setup ## the folder for Android or iOS: make tablet-app SYSTEM=ios
	@uv="$$(sh deploy/setup/uv.sh)" && UV="$$uv" $(BIN)/python deploy/tablet/assemble.py \
		out/tablet-$(or $(SYSTEM),android) $(or $(SYSTEM),android)

lint: setup ## generated code, ruff and mypy
	@echo "Contract …" && $(BIN)/python proto/generate.py --check
	@echo "Words …" && $(BIN)/python deploy/setup/words.py --check
	@echo "Style …" && $(BIN)/ruff check && $(BIN)/ruff format --check
	@echo "Types …" && $(BIN)/mypy

setup: ## the environment for the tests in .venv, without running them
	@sh deploy/setup/environment.sh test

proto: setup ## generate the contract's code from proto/calque/v1/*.proto
	@$(BIN)/python proto/generate.py

words: setup ## bring the catalogues of the tablet's words up to date with the code
	@$(BIN)/python deploy/setup/words.py

locks: ## resolve deploy/locks from pyproject.toml: make locks UPGRADE=1 takes the newest versions
	@uv="$$(sh deploy/setup/uv.sh)" && "$$uv" run --quiet --no-project --no-python-downloads --python '>=3.11' \
		deploy/setup/locks.py $(if $(UPGRADE),--upgrade)

sbom: ## list what is installed, as CycloneDX, in out/sbom
	@sh deploy/setup/supply.sh sbom

audit: ## ask whether a locked package is known to be vulnerable
	@sh deploy/setup/supply.sh audit

clean: ## remove the environment and the caches, never your data
	@rm -rf .venv .tools .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
