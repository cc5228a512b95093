# Short names for what is done with this project. `make help` lists them.
SWIFT ?= swift
# Where things go, by the names that GNU's conventions have for them.
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
USERUNITDIR ?= $(PREFIX)/lib/systemd/user
BASHCOMPDIR ?= $(DATADIR)/bash-completion/completions
ZSHCOMPDIR ?= $(DATADIR)/zsh/site-functions
FISHCOMPDIR ?= $(DATADIR)/fish/vendor_completions.d
# Whatever PREFIX is: mount(8) looks for its helpers here, and nowhere else.
HELPERDIR ?= /usr/sbin
DESTDIR ?=
INSTALL ?= install

RELEASE_FLAGS := -c release --static-swift-stdlib -Xlinker -s
RELEASE_PROGRAM := .build/release/dmemfs
# What building needs, and what the tests use besides.
BUILD_PACKAGES := fuse3 libfuse3-dev pkg-config
TEST_PACKAGES := acl attr gcc git procps python3-venv rsync sqlite3 tar
DEB_PACKAGES := debhelper dpkg-dev
PACKAGING_PACKAGES := fish lintian mandoc zsh
CONTAINER_PACKAGES := crun podman uidmap
METRICS_PACKAGES := attr curl prometheus python3
PAGE_PACKAGES := chromium python3

.DEFAULT_GOAL := help
.PHONY: help build allocations bench bound oom demo check soak tsan asan test fmt lint install uninstall \
	deb dist packaging container metrics page libfuse clean

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

bound: build ## show that memory stays bounded; QUICK=1: a scaled form of some minutes; ENGINE=strict: one
	$(SWIFT) build $(RELEASE_FLAGS) --product dmemfs-bound
	.build/release/dmemfs-bound $(if $(QUICK),--quick) $(if $(ENGINE),--engine $(ENGINE))

check: ## what CI runs: lint, build with import check, the canary, quick bounds, allocations, all tests
	@Tests/packages.sh $(BUILD_PACKAGES) $(TEST_PACKAGES)
	$(MAKE) lint
	$(SWIFT) build --build-tests --explicit-target-dependency-import-check error
	Tests/canary.sh
	$(MAKE) bound QUICK=1
	Tests/ranks.sh .build/debug/dmemfs $(RELEASE_PROGRAM)
	$(MAKE) allocations
	Tests/limit.sh 2700 $(SWIFT) test --disable-xctest

soak: ## what runs long: a million hostile requests, stress on a mount, the sanitizers; MINUTES=10
	@Tests/packages.sh $(BUILD_PACKAGES) $(TEST_PACKAGES)
	Tests/soak.sh $(or $(MINUTES),10)

tsan: ## what threads share, under the thread sanitizer
	Tests/sanitize.sh thread

asan: ## hostile requests and the tree under the address sanitizer; the C code for undefined behaviour, too
	Tests/sanitize.sh address

test: ## all tests
	$(SWIFT) test --disable-xctest

libfuse: ## build and test with the libfuse that is installed under LIBFUSE=
	Tests/libfuse.sh $(LIBFUSE)

fmt: ## format the sources in place
	$(SWIFT) format -i -r -p Package.swift Sources Tests

lint: ## check the format of the sources
	$(SWIFT) format lint -s -r -p Package.swift Sources Tests

# The helpers are this program under other names. What is installed is listed once, for `uninstall` as well.
HELPERS := mount.dmemfs mount.fuse.dmemfs
UNITS := $(notdir $(wildcard systemd/*.service systemd/*.slice))
USER_UNITS := $(notdir $(wildcard systemd/user/*.service))
MANUALS := Sources/dmemfs/Manual
INSTALLED = $(BINDIR)/dmemfs $(HELPERS:%=$(HELPERDIR)/%) $(UNITS:%=$(UNITDIR)/%) \
	$(USER_UNITS:%=$(USERUNITDIR)/%) $(MANDIR)/man1/dmemfs.1 $(MANDIR)/man5/dmemfs.conf.5 \
	$(HELPERS:%=$(MANDIR)/man8/%.8) $(BASHCOMPDIR)/dmemfs $(ZSHCOMPDIR)/_dmemfs $(FISHCOMPDIR)/dmemfs.fish

# Puts the unit $(1) to $(2), with the program's path in it.
install_unit = sed 's|/usr/bin/dmemfs|$(BINDIR)/dmemfs|' $(1) >$(DESTDIR)$(2) && chmod 644 $(DESTDIR)$(2)
# Has the program print its completions for the shell $(1) to $(2). They are read, not run: no first line.
install_completion = $(RELEASE_PROGRAM) --generate-completion-script $(1) | sed '1{/^\#!/d}' \
	>$(DESTDIR)$(2) && chmod 644 $(DESTDIR)$(2)

install: ## install what `make build` built; DESTDIR= and PREFIX= are obeyed
	@test -x $(RELEASE_PROGRAM) || { echo "nothing to install: run 'make build' first" >&2; exit 1; }
	$(INSTALL) -d $(addprefix $(DESTDIR),$(sort $(dir $(INSTALLED))))
	$(INSTALL) -m 755 $(RELEASE_PROGRAM) $(DESTDIR)$(BINDIR)/dmemfs
	for name in $(HELPERS); do \
		ln -srf $(DESTDIR)$(BINDIR)/dmemfs "$(DESTDIR)$(HELPERDIR)/$$name"; done
	$(foreach unit,$(UNITS),$(call install_unit,systemd/$(unit),$(UNITDIR)/$(unit)) &&) true
	$(foreach unit,$(USER_UNITS),$(call install_unit,systemd/user/$(unit),$(USERUNITDIR)/$(unit)) &&) true
	$(INSTALL) -m 644 $(MANUALS)/dmemfs.1 $(DESTDIR)$(MANDIR)/man1/dmemfs.1
	$(INSTALL) -m 644 $(MANUALS)/dmemfs.conf.5 $(DESTDIR)$(MANDIR)/man5/dmemfs.conf.5
	$(INSTALL) -m 644 $(MANUALS)/mount.dmemfs.8 $(DESTDIR)$(MANDIR)/man8/mount.dmemfs.8
	ln -sf mount.dmemfs.8 $(DESTDIR)$(MANDIR)/man8/mount.fuse.dmemfs.8
	$(call install_completion,bash,$(BASHCOMPDIR)/dmemfs)
	$(call install_completion,zsh,$(ZSHCOMPDIR)/_dmemfs)
	$(call install_completion,fish,$(FISHCOMPDIR)/dmemfs.fish)

uninstall: ## remove what `make install` installed
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))

VERSION := $(shell sed -n 's/.*current = "\(.*\)"/\1/p' Sources/Control/Version.swift)
ARCHITECTURE := $(shell uname -m)
STAGE := $(CURDIR)/.build/packages
DEB_STAGE := $(STAGE)/dmemfs-$(VERSION)
DIST_NAME := dmemfs-$(VERSION)-linux-$(ARCHITECTURE)
DIST_STAGE := $(STAGE)/$(DIST_NAME)

deb: build ## make a Debian package in .build/packages
	@Tests/packages.sh $(DEB_PACKAGES)
	rm -rf $(DEB_STAGE) $(STAGE)/*.deb
	mkdir -p $(DEB_STAGE)
	cp -r systemd/debian $(DEB_STAGE)/debian
	printf '%s\n\n  * %s\n\n -- %s  %s\n' \
		'dmemfs ($(VERSION)) unstable; urgency=medium' 'Built from the sources of this version.' \
		"$$(sed -n 's/^Maintainer: //p' systemd/debian/control)" \
		"$$(git log -1 --format=%cD 2>/dev/null || date -R)" >$(DEB_STAGE)/debian/changelog
	cd $(DEB_STAGE) && PROJECT=$(CURDIR) dpkg-buildpackage -b -uc -us
	@ls $(STAGE)/*.deb

# libfuse's own name changes from one distribution's release to the next, so here it is inside: a fuse3.pc
# before the system's has the linker take the archive. Unpack it with 'tar -C / --strip-components=1'.
dist: ## make a tarball in .build/packages that runs where neither Swift nor libfuse is installed
	@Tests/packages.sh $(BUILD_PACKAGES)
	rm -rf $(DIST_STAGE) && mkdir -p $(DIST_STAGE) $(STAGE)/static
	sed 's/-lfuse3/-l:libfuse3.a/' "$$(pkg-config --variable=pcfiledir fuse3)/fuse3.pc" >$(STAGE)/static/fuse3.pc
	PKG_CONFIG_PATH=$(STAGE)/static $(SWIFT) build $(RELEASE_FLAGS) --scratch-path $(STAGE)/build \
		--product dmemfs
	$(MAKE) install RELEASE_PROGRAM=$(STAGE)/build/release/dmemfs DESTDIR=$(DIST_STAGE) PREFIX=/usr/local
	$(INSTALL) -m 644 README.md $(DIST_STAGE)/README.md
	tar -C $(STAGE) --owner=0 --group=0 --sort=name -czf $(STAGE)/$(DIST_NAME).tar.gz $(DIST_NAME)
	@ls $(STAGE)/*.tar.gz

packaging: deb dist ## show that install, uninstall, deb and dist do what they should; needs root
	@Tests/packages.sh $(DEB_PACKAGES) $(PACKAGING_PACKAGES)
	Tests/packaging.sh $(STAGE)/dmemfs_$(VERSION)_*.deb $(STAGE)/$(DIST_NAME).tar.gz

container: build ## the program in Podman containers, root's and a user's; needs root
	@Tests/packages.sh $(CONTAINER_PACKAGES)
	Tests/container.sh $(RELEASE_PROGRAM)

metrics: build ## promtool and a Prometheus read what the program tells; needs root
	@Tests/packages.sh $(METRICS_PACKAGES)
	Tests/metrics.sh $(RELEASE_PROGRAM)

page: build ## the page in a headless Chromium, with screenshots in .build/page to look at; needs root
	@Tests/packages.sh $(PAGE_PACKAGES)
	Tests/page.py $(RELEASE_PROGRAM) $(CURDIR)/.build/page

clean: ## remove everything that was built
	rm -rf .build .build-thread .build-address
