# make demo: fit a real data set and draw the figures.   make test: style, site, tests and the ledger of claims.
# make docs: the documentation as a site, in site/.   make clean: forget all of it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo docs test clean

demo: .venv/installed
	@mkdir -p demo
	@echo "Running examples/treasury_bill.toml; the first run compiles its kernels, which takes about 25 seconds."
	$(BIN)/particleflow run examples/treasury_bill.toml -o demo/treasury_bill.h5 --overwrite
	@echo
	$(BIN)/particleflow plot demo/treasury_bill.h5 -o demo --animate gif
	@echo
	@echo "The figures are in demo/; start with demo/treasury_bill-fit.png and demo/treasury_bill.gif."

docs: .venv/installed-docs
	$(BIN)/python -m website
	@echo "The documentation is in site/; start with site/index.html."

test: .venv/installed-test docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@echo "The tests take about six minutes on two cores, much of it compiling; the ledger of claims comes last and takes one."
	$(BIN)/python -m pytest -n 2 --dist worksteal
	$(BIN)/python -m validation

.venv/installed: setup.cfg pyproject.toml
	@echo "Installing particleflow into .venv; this takes about a minute."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/installed-test: .venv/installed
	@echo "Installing what the tests need; this takes about a minute."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test]"
	@touch $@

.venv/installed-docs: .venv/installed
	@echo "Installing what the documentation needs."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[docs]"
	@touch $@

clean:
	rm -rf .venv demo site
