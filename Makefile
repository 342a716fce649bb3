# SPDX-License-Identifier: GPL-2.0-or-later
# Every command that a person types; `make help` lists them.

PYTHON = /usr/bin/python3
VERSION = $(shell sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)
DEB = dist/mptcp-hooks_$(VERSION)_all.deb
PACKED = COPYING HACKING.md Makefile setup.cfg README.md bpf completions debian docs examples hooks man mptcp_hooks \
	templates tests
# Copies the sources to a folder, as they are before a build.
pack = rm -rf $(1) && mkdir -p $(1) && cp -r $(PACKED) $(1) && \
	$(MAKE) -s --no-print-directory -C $(1) clean
BUILD = dpkg-buildpackage --no-sign --build=binary
# Another release of Debian, and where a root of it is kept.
RELEASE = trixie
ROOT = build/roots/$(RELEASE)
# A colon in a name, as recorded environments of aliases have it, means something to make.
find_files = $(shell find $(1) -type f -not -path '*/__pycache__/*' -not -name '*:*' \
	-not -name '*.bpf.o')
# What of it runs, in the lab too: all but tests and pages.
RUNNING = Makefile bpf completions debian examples hooks mptcp_hooks templates
# What makes the .deb stale. No test needs a build for a page, but `make deb` ships them all.
BUILT_FROM = $(RUNNING)
# What DHCP clients source, in their own shell; the other hooks are programs, most of them Python.
SOURCED = hooks/dhcp
SHELL_PROGRAMS = hooks/start_event
# Commands that need no root stand in bin, where hands and scripts look for the others too.
EVERYBODYS = mptcp_run mptcp_status
ROOTS = mptcp_up mptcp_down mptcp_monitor mptcp_check
COMMANDS = $(EVERYBODYS) $(ROOTS)
PROGRAMS = $(filter-out $(SOURCED),$(wildcard hooks/*))
# Where managers look for hooks, and which of ours is there.
LINKS = etc/network/if-up.d/mptcp_up=start_event etc/network/if-down.d/mptcp_down=start_event \
	etc/network/if-post-down.d/mptcp_down=start_event \
	etc/ppp/ip-up.d/mptcp_up=start_event etc/ppp/ip-down.d/mptcp_down=start_event \
	etc/ppp/ipv6-up.d/mptcp_up=start_event etc/ppp/ipv6-down.d/mptcp_down=start_event \
	etc/dhcp/dhclient-exit-hooks.d/mptcp-hooks=dhcp \
	usr/lib/dhcpcd/dhcpcd-hooks/90-mptcp-hooks=dhcp \
	usr/libexec/dhcpcd-hooks/90-mptcp-hooks=dhcp
# The BPF program that the kernel is given: for all machines of one order of bytes, one each.
OBJECTS = bpf/force.little.bpf.o bpf/force.big.bpf.o
# Before GCC 12, as on Ubuntu 22.04, the compiler writes no BTF, and libbpf loads nothing without.
OLD_COMPILER = $(shell command -v bpf-gcc >/dev/null && \
	! bpf-gcc -gbtf -E -x c /dev/null >/dev/null 2>&1 && echo yes)
MADE = $(if $(OLD_COMPILER),,$(OBJECTS))
LIBRARY = $(DESTDIR)/usr/share/mptcp-hooks
# bash-completion looks here for a file of the name of the command that is typed.
COMPLETIONS = $(DESTDIR)/usr/share/bash-completion/completions

# Debian's packages that lint, demo, test and deb need. Those of other targets are named below, and
# what the lab's tests need of programs, they fetch.
PACKAGES = build-essential debhelper dh-python dpkg-dev fakeroot flake8 gcc-bpf \
	ifupdown iproute2 libcap2-bin lintian man-db mypy procps python3 python3-hypothesis \
	python3-jinja2 python3-netifaces python3-prometheus-client python3-pytest \
	python3-pytest-xdist tmux util-linux
COVERAGE_PACKAGES = python3-coverage
PICTURE_PACKAGES = python3-matplotlib
VM_PACKAGES = kmod qemu-system-x86
ROOT_PACKAGES = mmdebstrap
PIUPARTS_PACKAGES = mmdebstrap piuparts
# What debian/tests needs, and the program that runs them.
TESTED = $(ROOT)-tested
TEST_PACKAGES = autopkgtest binutils dpkg-dev ifupdown iproute2 libcap2-bin man-db mount passwd \
	procps python3-hypothesis python3-jinja2 python3-netifaces python3-prometheus-client \
	python3-pytest python3-pytest-xdist tmux

# The files or folders of `make test`.
TESTS = tests
PYTEST = $(PYTHON) -m pytest $(TESTS) --deb $(DEB) --durations 10

.PHONY: help demo test outages model faults fuzz test-bpf test-kernels test-boot bench unequal compare unit \
	coverage pictures lint deb build-on autopkgtest piuparts objects install clean packages

help:
	@echo 'make demo     two uplinks, the real ifup, one transfer over both (root)'
	@echo 'make test     unit tests, then the lab: real kernel, ifup, transfers (root)'
	@echo '              make test TESTS="tests/lab/test_static.py ..."  these alone'
	@echo 'make outages  cables and providers that are out for up to a minute (root)'
	@echo 'make model    STEPS=1000 SEED=1  what many steps leave, against a model (root)'
	@echo 'make faults   each file, question and program of ours fails, hangs, or is the last (root)'
	@echo 'make fuzz     noise instead of what managers, people and the kernel say: ten minutes'
	@echo 'make test-bpf mptcp_run on a kernel that takes BPF programs, under qemu (root)'
	@echo 'make test-kernels  SUITES="bookworm trixie"  the lab on their kernels, under qemu (root)'
	@echo 'make test-boot  machines with two cards from boot to shutdown, under qemu (root)'
	@echo 'make bench    the hooks against their peers, in ratios, and unequal uplinks: hours (root)'
	@echo 'make unequal  the last of that alone: the weak uplink beside the better one (root)'
	@echo 'make compare  OLD=old.deb NEW=new.deb  the hooks of two packages, in ms (root)'
	@echo 'make unit     the unit tests alone (no root)'
	@echo 'make coverage what of each module the unit tests run'
	@echo 'make pictures docs/pictures anew, from what happens in the lab: two minutes (root)'
	@echo 'make lint     flake8, mypy'
	@echo 'make deb      $(DEB), checked by lintian'
	@echo 'make build-on RELEASE=trixie  the .deb as that release of Debian builds it (root)'
	@echo 'make autopkgtest RELEASE=trixie  debian/tests on the installed package there (root)'
	@echo 'make piuparts RELEASE=trixie  what it leaves there when it is purged (root)'
	@echo 'make install  hooks and programs below DESTDIR, without unit and manual pages'
	@echo 'make clean    remove build/, dist/ and caches'

demo: $(DEB)
	@$(PYTHON) -m tests.lab.demo $(DEB)

# Four at a time, since they wait for most of it, each in namespaces of its own; then those that
# measure time. pytest ends with 5 where it is left with no test, as one of the two may be with some
# files of TESTS.
# It runs the unit tests itself: a .deb that is built for it, or for the demo, need not.
demo test: export DEB_BUILD_OPTIONS = nocheck

test: $(DEB)
	@$(PYTEST) -n 4 --dist loadfile -m 'not alone and not bpf and not long and not fault and not boot'; many=$$?; \
	[ $$many = 0 ] || [ $$many = 5 ] || exit $$many; \
	$(PYTEST) -m alone; alone=$$?; \
	[ $$alone = 5 ] && exit $$many || exit $$alone

# Twenty in a row, and a minute long, and what takes its time of checks and VPNs: half an
# hour, two at a time.
outages: $(DEB)
	$(PYTHON) -m pytest tests/lab -m long --deb $(DEB) -n 2 --dist load

# What STEPS of everything that happens to a machine leave, against a simple model of it.
STEPS = 1000
# Those of unequal uplinks that need netem, which not every kernel has.
FAR_MIXES = lossy-1 lossy-5 delayed

model: $(DEB)
	$(PYTHON) -m tests.model $(DEB) --steps $(STEPS) $(if $(SEED),--seed $(SEED))

# Each call to the system in turn, as strace counts them.
FAULT_PACKAGES = strace

faults: $(DEB)
	@$(MAKE) --no-print-directory packages PACKAGES='$(FAULT_PACKAGES)'
	$(PYTHON) -m pytest tests/lab -m fault --deb $(DEB) -n 2 --dist loadfile

# The unit tests whose input is made by hypothesis, twenty times as long.
fuzz: packages
	$(PYTHON) -m pytest tests/unit -m hypothesis --hypothesis-profile=fuzz -n 2

# On Debian 13's kernel, whatever this machine's is: an emulated one, so what takes a
# second here takes fifteen there. What no VM can be had for is said, and is no failure.
test-bpf: $(DEB)
	@$(MAKE) --no-print-directory packages PACKAGES='$(VM_PACKAGES)' || true
	$(PYTHON) -m tests.lab.support.peers.build
	@# The VM has no network to fetch from.
	$(PYTHON) -c 'from tests.lab.support import booted, programs; programs.download(booted.SYSTEMD)'
	$(PYTHON) -m tests.virtual $(PYTHON) -m pytest tests/lab --deb $(DEB) -m bpf || [ $$? = 77 ]

# Routing, promises, limits, transfers and failover on the kernels of these releases: hours, for the
# processor is emulated.
SUITES = bookworm trixie testing
KERNEL_TESTS = $(addprefix tests/lab/test_,static.py promises.py limits.py transfers.py outages.py \
	way_out.py status.py)
# What these tests fetch: the VM has no network.
KERNEL_PROGRAMS = dhcpcd-base dnsmasq-base isc-dhcp-client mptcpd mptcpd-plugins network-manager \
	nftables radvd

test-kernels: $(DEB)
	@$(MAKE) --no-print-directory packages PACKAGES='$(VM_PACKAGES)' || true
	$(PYTHON) -c 'import sys; from tests.lab.support.programs import download; download(tuple(sys.argv[1:]))' \
		$(KERNEL_PROGRAMS)
	@for suite in $(SUITES); do echo "the kernel of $$suite"; \
		$(PYTHON) -m tests.virtual --suite $$suite --minutes 120 $(PYTHON) -m pytest \
			$(KERNEL_TESTS) --deb $(DEB) -m 'not alone and not bpf and not long and not fault and not boot' \
			|| [ $$? = 77 ] || exit 1; done

# Releases of Debian with udev and ifupdown, each on a disk of its own; with systemd, but for one.
BOOTS = trixie bookworm bookworm-sysvinit
BOOT_ROOTS = $(BOOTS:%=build/roots/boot-%)
BOOT_PACKAGES = udev kmod dbus ifupdown iproute2 iputils-ping python3 python3-jinja2 python3-netifaces
BOOT_INIT = $(if $(findstring sysvinit,$(1)),sysvinit-core initscripts inetutils-syslogd,systemd-sysv)

test-boot: $(DEB) $(BOOT_ROOTS)
	@$(MAKE) --no-print-directory packages PACKAGES='$(VM_PACKAGES) e2fsprogs'
	$(PYTHON) -m pytest tests/lab/test_boot.py --deb $(DEB)

build/roots/boot-%:
	@$(MAKE) --no-print-directory packages PACKAGES='$(ROOT_PACKAGES)'
	@rm -rf $@.new && mkdir -p $(@D) && apt-config dump Acquire >$@.conf
	mmdebstrap --variant=apt --aptopt=$@.conf --include='$(BOOT_PACKAGES) $(call BOOT_INIT,$*)' \
		$(firstword $(subst -, ,$*)) $@.new
	@mv $@.new $@

bench: $(DEB)
	@$(PYTHON) -m tests.bench.bench $(DEB)
	@$(MAKE) --no-print-directory unequal

# An hour by itself, and as long where netem has to be emulated.
unequal: $(DEB)
	@$(PYTHON) -m tests.bench.judged $(DEB)
	@$(MAKE) --no-print-directory packages PACKAGES='$(VM_PACKAGES)' || true
	@$(PYTHON) -m tests.virtual --minutes 90 $(PYTHON) -m tests.bench.judged $(DEB) \
		--mix $(FAR_MIXES) --connections 1 || [ $$? = 77 ]

compare: packages
	@[ -f '$(OLD)' ] && [ -f '$(NEW)' ] || { echo 'make compare OLD=old.deb NEW=new.deb' >&2; exit 2; }
	@$(PYTHON) -m tests.bench.compare '$(OLD)' '$(NEW)'

unit: packages
	$(PYTHON) -m pytest tests/unit

# In this process alone: what the tests start, and the lab, is not counted.
coverage: packages
	@$(MAKE) --no-print-directory packages PACKAGES='$(COVERAGE_PACKAGES)'
	@mkdir -p build
	$(PYTHON) -m coverage run -m pytest tests/unit
	@$(PYTHON) -m coverage report

# A build needs none of it: the pictures are kept with the sources.
pictures: $(DEB)
	@$(MAKE) --no-print-directory packages PACKAGES='$(PICTURE_PACKAGES)'
	@$(PYTHON) -m tests.bench.pictures $(DEB) docs/pictures

lint: packages
	flake8 mptcp_hooks tests $(filter-out $(SHELL_PROGRAMS),$(PROGRAMS))
	dash -n $(SOURCED) $(SHELL_PROGRAMS) tests/in-root tests/virtual/init tests/virtual/run-command
	for script in debian/shared.sh debian/mptcp-hooks.p* debian/mptcp-hooks.init debian/tests/*; do \
		case $$script in */control) ;; *) dash -n $$script || exit;; esac; done
	bash -n completions/mptcp-hooks
	mypy

deb:
	@$(MAKE) --no-print-directory $(DEB) BUILT_FROM='$$(PACKED)'
	lintian --fail-on error,warning $(DEB)

$(DEB): $(call find_files,$(BUILT_FROM)) | packages
	@echo 'building $(DEB)'
	@$(call pack,build/mptcp-hooks)
	@cd build/mptcp-hooks && $(BUILD) >../build.log 2>&1 || { cat ../build.log; exit 1; }
	@mkdir -p dist && mv build/*.deb dist/
	@rm -rf build/mptcp-hooks build/mptcp-hooks_*

# The tools of another release, in a root of it that is kept, build from it without a network.
build-on: | $(ROOT)
	@rm -rf $(ROOT)/build && $(call pack,$(ROOT)/build/mptcp-hooks)
	unshare --fork --kill-child --pid --net --mount --root=$(ROOT) --wd=/build/mptcp-hooks \
		--mount-proc $(BUILD)
	@mkdir -p dist/$(RELEASE) && mv $(ROOT)/build/*.deb dist/$(RELEASE)/

# debian/tests on the installed package, in a root of a release, without a network. Tests that are
# skipped end it with 2.
autopkgtest: $(DEB) | $(TESTED)
	@rm -rf $(TESTED).run && cp -a $(TESTED) $(TESTED).run && cp $(DEB) $(TESTED).run/build/
	@$(call pack,$(TESTED).run/build/mptcp-hooks)
	unshare --fork --kill-child --pid --net --mount tests/in-root $(TESTED).run autopkgtest \
		--user=tester --ignore-restrictions=isolation-machine --no-built-binaries \
		/build/$(notdir $(DEB)) /build/mptcp-hooks/ -- null || [ $$? = 2 ]
	@rm -rf $(TESTED).run

# Installed, upgraded, removed and purged in a root of a release, and what is left of it. The folder
# that is passed over is where debconf extracts the questions of all packages there.
piuparts: $(DEB)
	@$(MAKE) --no-print-directory packages PACKAGES='$(PIUPARTS_PACKAGES)'
	@[ -f $(ROOT).tar.gz ] || { mkdir -p $(dir $(ROOT)) && apt-config dump Acquire >$(ROOT).conf && \
		mmdebstrap --variant=apt --aptopt=$(ROOT).conf $(RELEASE) $(ROOT).tar.gz; }
	piuparts --basetgz=$(ROOT).tar.gz --distribution=$(RELEASE) --keep-sources-list \
		--no-eatmydata --ignore-regex='/var/cache/debconf/tmp\.ci/?' $(DEB)

$(TESTED):
	@$(MAKE) --no-print-directory packages PACKAGES='$(ROOT_PACKAGES)'
	@rm -rf $@.new && mkdir -p $(@D) && apt-config dump Acquire >$@.conf
	mmdebstrap --variant=apt --aptopt=$@.conf --include='$(TEST_PACKAGES)' \
		--customize-hook='mkdir "$$1/build"' --customize-hook='chroot "$$1" useradd -m tester' \
		$(RELEASE) $@.new
	@mv $@.new $@

# apt asks there as it does here.
$(ROOT):
	@$(MAKE) --no-print-directory packages PACKAGES='$(ROOT_PACKAGES)'
	@rm -rf $@.new && mkdir -p $(@D) && apt-config dump Acquire >$@.conf
	mmdebstrap --variant=buildd --aptopt=$@.conf --customize-hook='mkdir "$$1/build"' \
		--customize-hook='copy-in debian /build' --customize-hook='chroot "$$1" \
		apt-get build-dep -y --no-install-recommends /build' $(RELEASE) $@.new
	@mv $@.new $@

objects: $(MADE)
	@[ -n '$(MADE)' ] || echo 'bpf-gcc is older than 12 and writes no BTF: the package has no' \
		'BPF program, and mptcp_run forces nothing by bpf'

# -mcpu=v2: a kernel's verifier may know no newer instructions. PWD: what is written is the same
# wherever the sources lie.
bpf/force.%.bpf.o: bpf/force.bpf.c
	PWD=/proc/self/cwd bpf-gcc -m$*-endian -O2 -gbtf -mcpu=v2 -Wall -Wextra -Werror -c $< -o $@

install: objects
	install -d $(LIBRARY)/hooks $(LIBRARY)/templates $(LIBRARY)/bpf
	$(if $(MADE),install -m 644 $(MADE) $(LIBRARY)/bpf)
	for folder in mptcp_hooks $(wildcard mptcp_hooks/*/); do \
		[ $$folder = mptcp_hooks/__pycache__/ ] && continue; \
		install -d $(LIBRARY)/$$folder; \
		install -m 644 $$folder/*.py $(LIBRARY)/$$folder; done
	install -m 755 $(PROGRAMS) $(LIBRARY)/hooks
	install -m 644 $(SOURCED) $(LIBRARY)/hooks
	install -m 644 templates/*.j2 $(LIBRARY)/templates
	install -d $(DESTDIR)/usr/bin $(DESTDIR)/usr/sbin
	for name in $(ROOTS); do \
		ln -sf ../share/mptcp-hooks/hooks/$$name $(DESTDIR)/usr/sbin/$$name; done
	for name in $(EVERYBODYS); do \
		ln -sf ../share/mptcp-hooks/hooks/$$name $(DESTDIR)/usr/bin/$$name; \
		ln -sf ../bin/$$name $(DESTDIR)/usr/sbin/$$name; done
	install -d $(COMPLETIONS)
	install -m 644 completions/mptcp-hooks $(COMPLETIONS)/mptcp_up
	for name in $(filter-out mptcp_up,$(COMMANDS)); do \
		ln -sf mptcp_up $(COMPLETIONS)/$$name; done
	ln -sf event $(LIBRARY)/hooks/mptcp_lease
	for link in $(LINKS); do \
		install -d $(DESTDIR)/$$(dirname $${link%=*}); \
		ln -sf /usr/share/mptcp-hooks/hooks/$${link#*=} $(DESTDIR)/$${link%=*}; done
	install -d $(DESTDIR)/etc/iproute2/rt_protos.d
	install -m 644 debian/rt_protos.conf $(DESTDIR)/etc/iproute2/rt_protos.d/mptcp-hooks.conf
	install -d $(DESTDIR)/usr/lib/sysctl.d
	install -m 644 debian/sysctl.conf $(DESTDIR)/usr/lib/sysctl.d/50-mptcp-hooks.conf

# What builds and tests leave; the source package is made of what stays.
clean:
	rm -rf build dist $(OBJECTS) .coverage .hypothesis .mypy_cache .pytest_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# As root the missing packages are installed, from Debian; otherwise they are named.
packages:
	@missing=; for package in $(PACKAGES); do \
		[ "$$(dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null)" = installed ] \
			|| missing="$$missing $$package"; done; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" != 0 ]; then \
		echo "missing packages, install them first:$$missing" >&2; exit 1; fi; \
	echo "installing from Debian:$$missing"; \
	export DEBIAN_FRONTEND=noninteractive; \
	mkdir -p build; \
	{ apt-get update && apt-get install -y --no-install-recommends $$missing; } \
		>build/packages.log 2>&1 || { cat build/packages.log; exit 1; }
