# Every target sets itself up: Python 3.11, make and a package index are all it takes.
VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
# The tests commit thousands of times, and each commit waits for a disk; not in memory, where there is enough of it. A process
# that is killed loses nothing there either.
SCRATCH := $(shell test "$$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 {print $$4}')" -gt 12000000 2>/dev/null && echo TMPDIR=/dev/shm)
.PHONY: setup softhsm systemd chromium demo test prove serve check fix bench docs site pii-model clean

setup: $(VENV)/.installed

# Bytecode is made by all cores, and not of the packages' own tests; of ours, too, for machines on which Python is told to write none.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e ".[model,postgres,aws,pkcs11,dev]"
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib src || true
	@touch $@

softhsm:  ## the software token that pkcs11: is tested with, where apt can install it; tests say so where it is missing, and fail in CI
	@command -v softhsm2-util >/dev/null || (command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && apt-get install -y -qq softhsm2 >/dev/null) || echo "softhsm2 is not installed: the pkcs11 tests are skipped"

systemd:  ## what reads the units of deploy/, where apt can install it; likewise
	@command -v systemd-analyze >/dev/null || (command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && apt-get install -y -qq --no-install-recommends systemd >/dev/null) || echo "systemd-analyze is not installed: the test of the units is skipped"

chromium:  ## the browser that the console is driven with by `make prove`, where apt can install it; without it those tests fail
	@command -v chromium >/dev/null || (command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && apt-get install -y -qq --no-install-recommends chromium fonts-liberation >/dev/null) || echo "chromium is not installed: the console's browser tests fail"

demo: setup  ## ingest two sample companies, ask as five people, check the answers
	$(BIN)/ragward demo

test: setup softhsm systemd  ## all tests; minutes
	$(SCRATCH) OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -m "not prove" -n 3 --dist loadfile --no-loadscope-reorder -p no:langsmith_plugin -p no:faker

prove: setup softhsm systemd chromium  ## the full kill, fuzz and generation counts; every framework there is an adapter for; the console in a browser
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[frameworks,docs,browser]"
	$(SCRATCH) RAGWARD_PROVE=1 $(BIN)/python -m pytest --timeout 3600

serve: setup  ## the demo company behind the REST API on loopback
	$(BIN)/ragward demo --serve

check: setup  ## lint, format, types, import contracts
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

fix: setup  ## what can be mended by machine
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: setup  ## what authorization costs and loses, beside what others do; minutes. `ragward bench full` is the large run
	$(BIN)/ragward bench quick --langchain --out build/bench

docs: setup  ## regenerate what is generated: the OpenAPI document, the reference
	$(BIN)/ragward openapi --output schemas/openapi.json && $(BIN)/python docs/build_reference.py

site: docs  ## the documentation as a site, in site/; nothing on it is loaded from elsewhere
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	$(BIN)/zensical build --clean --strict && $(BIN)/python docs/check_site.py site

pii-model: setup  ## train the name detector again, on generated sentences
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[training]"
	cd training && ../$(BIN)/python train.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage htmlcov dist build site
