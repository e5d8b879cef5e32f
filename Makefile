# Every target sets up what it needs in .venv.

prefix ?= /usr/local
DESTDIR ?=
PYTHON ?= python3
PEER ?= ../shared/peers/session_manager.py
SECONDS ?= 600

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The directory into which `make install` puts the package and its dependencies. No other Python
# program reads it.
LIBRARY := $(DESTDIR)$(prefix)/lib/git-hub-session
# The path in single quotes, with its own single quotes escaped.
LIBRARY_SQ = $(subst ','\'',$(LIBRARY))
TARGET_SQ = $(subst ','\'',$(DESTDIR)$(prefix))

# The completion scripts, and where each shell looks for them below share.
COMPLETIONS := bash.sh:bash-completion/completions/git-hub-session \
	zsh.zsh:zsh/site-functions/_git-hub-session fish.fish:fish/vendor_conf.d/git-hub-session.fish

.PHONY: all demo test oldest long fuzz soak lint check format pictures bench growth dist deb install uninstall clean

all: check

define CHECK_PYTHON
import sys
if sys.version_info < (3, 11):
    sys.exit("git hub-session needs Python 3.11 or later: make PYTHON=/path/to/python3.11")
try:
    import ensurepip, venv
except ImportError:
    sys.exit("%s cannot make a venv: install python3-venv" % sys.executable)
endef
export CHECK_PYTHON
PIP := python -m pip --quiet --disable-pip-version-check

$(READY): pyproject.toml requirements-dev.txt
	$(PYTHON) -c "$$CHECK_PYTHON"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(PIP) install --requirement requirements-dev.txt --editable .
	$(BIN)/python -m compileall -q git_hub_session
	touch $@

demo: $(READY)
	@$(BIN)/git-hub-session demo

# The tests to run before each commit: of the modules, the commands and the rules of the code.
# `make check` runs all tests.
test: $(READY)
	$(BIN)/python -m pytest -n 3 -m 'not slow' tests/unit tests/commands tests/test_*.py

# The same tests with the oldest libraries that the package accepts. Their wheels need Python 3.11.
OLDEST := build/oldest
oldest:
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/$(PIP) install --requirement requirements-dev.txt --editable '.[watch]' \
		pygit2==1.11.1 PyYAML==6.0 psutil==5.9 textual==1.0
	$(OLDEST)/bin/python -m pytest -n 3 -m 'not slow' tests/unit tests/commands

# The tests that are too slow for every day: a kill at each system call, twenty rounds of each race.
long: $(READY)
	HUB_TEST_LONG=1 $(BIN)/python -m pytest -n 2 --dist worksteal tests -k 'simulation or killed or at_once or random or security or integration or compat or crash or concurrency'

# Fuzz each harness for SECONDS, guided by coverage, in a separate venv. A finding is a file
# crash-*. Put it into tests/security/fuzz/corpus, so that `make check` runs it from then on.
FUZZ := build/fuzz
$(FUZZ)/.ready: pyproject.toml
	$(PYTHON) -m venv $(FUZZ)/venv
	$(FUZZ)/venv/bin/$(PIP) install --upgrade 'pip>=25.1'
	$(FUZZ)/venv/bin/$(PIP) install --group fuzz --editable .
	touch $@

fuzz: $(FUZZ)/.ready
	set -e; for harness in configfile session; do mkdir -p $(FUZZ)/$$harness; \
		$(FUZZ)/venv/bin/python -m tests.security.fuzz $$harness -max_total_time=$(SECONDS) -max_len=4096 \
			-dict=tests/security/fuzz/$$harness.dict $(FUZZ)/$$harness tests/security/fuzz/corpus/$$harness; done

# Random commands and random git in parallel. SOAK_SEED repeats the choices of an earlier run.
soak: $(READY)
	$(BIN)/python -m tests.soak

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	sh -n bin/git-hub-session
	sh -n packaging/debian/build
	sh -n git_hub_session/merge/move_branch.sh
	sh -n git_hub_session/programs/hubcd.sh
	sh -n git_hub_session/hooks/reference_transaction.sh
	sh -n git_hub_session/hooks/pre_commit.sh

# Lint, types and all tests. Fail if the tests run less than COVERAGE percent of the branches
# (tests/support/coverage.py).
COVERAGE := 95
TOLD := $(CURDIR)/.coverage/told

check: lint
	rm -rf .coverage
	mkdir -p '$(TOLD)'
	$(BIN)/python -m tests.support.coverage prepare
	MEASURED_INTO='$(TOLD)' $(BIN)/python -m pytest -n 3 tests
	$(BIN)/python -m tests.support.coverage collect '$(TOLD)'
	$(BIN)/python -m tests.support.coverage report $(COVERAGE)

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Draw the pictures of the documents with the real program. The report needs chromium.
pictures: $(READY)
	$(BIN)/python -m tests.pictures

bench: $(READY)
	$(BIN)/python tests/bench.py --peer $(PEER) $(addprefix --before ,$(BEFORE))

# Measure the growth with the number of sessions. Put the table into docs/performance.md, and then
# draw it: .venv/bin/python -m tests.growth --draw
growth: $(READY)
	$(BIN)/python -m tests.growth

DIST := dist

# Build the sdist and the wheel into DIST, and check them. The same sources give the same bytes.
dist: $(READY)
	rm -rf '$(DIST)'
	$(BIN)/hatchling build -d $(DIST)
	$(BIN)/twine check --strict $(DIST)/*
	$(BIN)/check-wheel-contents $(DIST)/*.whl

# Build the Debian package into DIST, with debhelper and Debian's Python.
deb:
	packaging/debian/build '$(DIST)'

# Install with the pip of a temporary venv, because Python may come without pip. Replace the
# installed version only after the new one is complete.
install:
	$(PYTHON) -c "$$CHECK_PYTHON"
	umask 022; set -e; new='$(LIBRARY_SQ).new'; rm -rf "$$new"; \
	tools=$$(mktemp -d); trap 'rm -rf "$$tools" "$$new"' EXIT; $(PYTHON) -m venv "$$tools"; \
	"$$tools"/bin/$(PIP) install --no-warn-script-location --target "$$new" .; \
	rm -rf "$$new/bin" "$$new/share" '$(LIBRARY_SQ)'; mv "$$new" '$(LIBRARY_SQ)'
	umask 022; mkdir -p '$(TARGET_SQ)/bin' '$(TARGET_SQ)/share/man/man1'
	sed -e 's|^library=.*|library=$$root/lib/git-hub-session|' \
		-e "s|^python=.*|python=$$($(PYTHON) -c 'import sys; print(sys._base_executable)')|" \
		-e '/^if \[ -x .*venv/,/^fi/d' bin/git-hub-session >'$(TARGET_SQ)/bin/git-hub-session'
	chmod 755 '$(TARGET_SQ)/bin/git-hub-session'
	cp man/git-hub-session.1 '$(TARGET_SQ)/share/man/man1/git-hub-session.1'
	chmod 644 '$(TARGET_SQ)/share/man/man1/git-hub-session.1'
	umask 022; set -e; for script in $(COMPLETIONS); do target='$(TARGET_SQ)'/share/$${script#*:}; \
		mkdir -p "$${target%/*}"; cp git_hub_session/completion/$${script%%:*} "$$target"; chmod 644 "$$target"; done

uninstall:
	rm -rf '$(LIBRARY_SQ)'
	rm -f '$(TARGET_SQ)/bin/git-hub-session' '$(TARGET_SQ)/share/man/man1/git-hub-session.1'
	for script in $(COMPLETIONS); do rm -f '$(TARGET_SQ)'/share/$${script#*:}; done

clean:
	rm -rf $(VENV) .coverage build dist
