# Short names for what is done with this project. `make help` lists them.
SWIFT ?= swift
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
UNITDIR ?= $(PREFIX)/lib/systemd/system
DESTDIR ?=
INSTALL ?= install

RELEASE_FLAGS := -c release --static-swift-stdlib -Xlinker -s
RELEASE_PROGRAM := .build/release/dmemfs
# What building needs, and what the tests use besides.
BUILD_PACKAGES := fuse3 libfuse3-dev pkg-config
TEST_PACKAGES := acl attr gcc git python3-venv rsync sqlite3 tar

.DEFAULT_GOAL := help
.PHONY: help build allocations bench bound oom demo check test fmt lint install uninstall clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

build: ## build the release program, the Swift library inside it, stripped
	@Tests/packages.sh $(BUILD_PACKAGES)
	$(SWIFT) build $(RELEASE_FLAGS) --product dmemfs

bench: build ## measure everything, beside tmpfs; QUICK=1 for a form of a minute, ARGS= as --help says
	$(SWIFT) build $(RELEASE_FLAGS) --product dmemfs-bench
	.build/release/dmemfs-bench $(if $(QUICK),--quick) $(ARGS)

allocations: ## fail where an operation of the tree asks the heap for more than it may
	$(SWIFT) build $(RELEASE_FLAGS) --product dmemfs-bench
	.build/release/dmemfs-bench operations --check --rounds 1

oom: build ## real cgroups: refused in time here, killed on tmpfs; needs root
	Tests/oom.sh $(RELEASE_PROGRAM)

demo: build ## mount 64 MiB, fill it, see the refusal, clean up
	Tests/demo.sh $(RELEASE_PROGRAM)

bound: build ## show that memory stays bounded; QUICK=1 for a scaled form of some minutes
	$(SWIFT) build $(RELEASE_FLAGS) --product dmemfs-bound
	.build/release/dmemfs-bound $(if $(QUICK),--quick)

check: ## everything CI runs: format lint, build with import check, the canary, quick bounds, allocations, all tests
	@Tests/packages.sh $(BUILD_PACKAGES) $(TEST_PACKAGES)
	$(MAKE) lint
	$(SWIFT) build --build-tests --explicit-target-dependency-import-check error
	Tests/canary.sh
	$(MAKE) bound QUICK=1
	$(MAKE) allocations
	$(SWIFT) test --disable-xctest

test: ## all tests
	$(SWIFT) test --disable-xctest

fmt: ## format the sources in place
	$(SWIFT) format -i -r -p Package.swift Sources Tests

lint: ## check the format of the sources
	$(SWIFT) format lint -s -r -p Package.swift Sources Tests

install: ## install what `make build` built; DESTDIR= and PREFIX= are obeyed
	@test -x $(RELEASE_PROGRAM) || { echo "nothing to install: run 'make build' first" >&2; exit 1; }
	$(INSTALL) -D -m 755 $(RELEASE_PROGRAM) $(DESTDIR)$(BINDIR)/dmemfs
	$(INSTALL) -d $(DESTDIR)$(UNITDIR)
	sed 's|/usr/bin/dmemfs|$(BINDIR)/dmemfs|' systemd/dmemfs@.service > $(DESTDIR)$(UNITDIR)/dmemfs@.service
	chmod 644 $(DESTDIR)$(UNITDIR)/dmemfs@.service

uninstall: ## remove what `make install` installed
	rm -f $(DESTDIR)$(BINDIR)/dmemfs $(DESTDIR)$(UNITDIR)/dmemfs@.service

clean: ## remove everything that was built
	rm -rf .build
