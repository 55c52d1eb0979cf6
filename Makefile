# Needs Go, Node with npm, make, and on Debian or Ubuntu apt; the rest it gets.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# What the demo's desktop needs, and what only tests need besides.
DESKTOP := tigervnc-standalone-server openbox xterm xdotool xinput xauth x11-utils x11-apps x11-xserver-utils fonts-dejavu-core
TESTING := $(DESKTOP) xvfb x11vnc chromium firefox-esr tigervnc-viewer xtightvncviewer gvncviewer xsel libnss3-tools openssl gnutls-bin libpam-wrapper dbus gcc libc6-dev picom mesa-utils metacity icewm websockify nginx-light haproxy redis-server novnc procps zenity nftables iptables iproute2 fonts-noto-core fonts-noto-cjk i3lock xfwm4 xfconf marco mate-desktop-common mate-settings-daemon-common mutter i3-wm wmctrl xsecurelock weston xwayland libvncserver-dev at-spi2-core python3-pyatspi strace python3-redis python3-simplejson python3-requests systemd

# The bundled pages, and what they are made of.
PAGES := internal/viewer/dist/index.html internal/gate/web/dist/index.html
SOURCES := internal/viewer/package-lock.json $(wildcard internal/viewer/page/* internal/viewer/page/lang/* internal/gate/web/page/* internal/gate/web/page/lang/*)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: pages ## build shadowd, shadowctl, shadowgate, websockify and rfbtrace into bin (VERSION=1.2.3)
	CGO_ENABLED=0 go build -trimpath $(if $(VERSION),-ldflags='-X vda.internal/shadow/internal/version.linked=$(VERSION)') -o bin/ ./cmd/...

pages: $(PAGES) ## fetch noVNC from npm and bundle the pages of a granted port and of the console, to be embedded

$(PAGES) &: $(SOURCES)
	cd internal/viewer && npm ci --ignore-scripts --no-audit --no-fund
	$(CLEANED)
	cd internal/viewer/node_modules/@novnc/novnc && \
		cp -R core vendor package.json AUTHORS LICENSE.txt $(CURDIR)/internal/viewer/novnc && \
		mkdir $(CURDIR)/internal/viewer/novnc/docs && cp docs/LICENSE.* $(CURDIR)/internal/viewer/novnc/docs
	cp internal/viewer/node_modules/axe-core/axe.min.js internal/gate/web/axe
	cd internal/viewer && npm run --silent build
	rm -rf internal/viewer/node_modules

# Folders of what the build makes to be embedded, or tested with.
CLEANED = find internal/viewer/novnc internal/viewer/dist internal/gate/web/dist internal/gate/web/axe -mindepth 1 ! -name .gitkeep -delete

deps: ## install what the tests need and this machine lacks
	@.ci/deps $(TESTING)

demo: build ## a desktop and an administrator in one page (ONCE=1: without a person, ADDR=host:port)
	@.ci/deps $(DESKTOP) $(if $(ONCE),chromium)
	go build -trimpath -o bin/demo ./tools/demo
	bin/demo $(if $(ADDR),-addr $(ADDR)) $(if $(ONCE),-once)

# Programs that build and check, in a module file of their own: importers don't inherit them.
TOOL := go tool -modfile=tools/tools.mod

lint: ## gofmt, go mod tidy, go vet, staticcheck
	test -z "$$(gofmt -l . | tee /dev/stderr)"
	go mod tidy -diff
	go vet ./...
	$(TOOL) staticcheck ./...

test: export SHADOW_LIVE := 1
test: deps pages lint ## install what is needed, lint, all tests with -race, cross, and successor for the shorter ones
	go test -race -timeout 40m ./...
	$(MAKE) --no-print-directory cross successor SUCCEED="$(QUICKLY)"

# What the gateway is compared with.
MEASURED := websockify haproxy

# What needs no Linux, which every system with Go has use for.
PORTABLE := ./rfb/... ./wsproxy/... ./portpool/... ./tlsstore/... ./consent ./consent/policy ./cmd/websockify/... ./cmd/rfbtrace/...

cross: ## build for the other processors, and what needs no Linux for the other systems
	@set -e; for arch in 386 arm arm64; do echo linux/$$arch; \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch go build -o /dev/null $$(go list -f "{{if .GoFiles}}{{.ImportPath}}{{end}}" ./... | grep -v /tools/); done
	@set -e; for os in darwin freebsd; do echo $$os/arm64; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=arm64 go build -o /dev/null $(PORTABLE); done

bench: console ## compare the speed with x11vnc, websockify, HAProxy and a raw relay, into docs/performance.md (half an hour, as root; ROUNDS=5)
	@.ci/deps $(MEASURED) xvfb x11vnc xterm linux-perf
	go build -trimpath -o bin/screens ./tools/screens
	bin/screens -rounds $(or $(ROUNDS),5) -doc docs/performance.md
	go build -trimpath -o bin/bench ./tools/bench
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bin/websockify ./cmd/websockify
	bin/bench run -config tools/bench/peers.json -rounds $(or $(ROUNDS),5) -duration 1500ms -out bin/bench-result -doc docs/performance.md
	go run ./tools/pace -rounds $(or $(ROUNDS),5) "python=/usr/bin/websockify LISTEN TARGET" "ours=bin/websockify --view-only LISTEN TARGET"

console: build ## what the console costs beside HAProxy, and how soon its pages are there, into docs/performance.md (four parts of at most 3 minutes, as root; ROUNDS=3)
	@.ci/deps $(DESKTOP) xvfb haproxy chromium
	go build -trimpath -o bin/bench ./tools/bench
	bin/bench views -rounds $(or $(ROUNDS),3) | tee bin/console-views.txt
	SHADOW_LIVE=1 go test ./internal/e2e -run '^$$' -bench GateAdds -benchtime 60x | tee bin/console-adds.txt
	SHADOW_LIVE=1 go test ./internal/e2e -run '^$$' -bench 'Page$$' -benchtime 12x | tee bin/console-page.txt
	SHADOW_LIVE=1 go test ./internal/gate/web -run '^$$' -bench ManySessions -benchtime 10x | tee bin/console-list.txt
	bin/bench rows -doc docs/performance.md bin/console-*.txt

# What is watched with, besides Chromium, and shown.
VIEWING := $(TESTING) ssvnc qemu-system-x86 remmina-plugin-vnc tightvncserver tigervnc-tools xfonts-base

viewers: pages ## every viewer in front of every server, for a schedule: releases of noVNC from npm, native viewers
	@.ci/deps $(VIEWING)
	SHADOW_LIVE=1 SHADOW_VIEWERS=1 go test ./internal/viewers -v -count=1 -timeout 60m

soak: ## ten minutes of viewers that come and go in every way, and ten more with -race (SOAK=1h: longer)
	go test ./wsproxy -run TestSoak -v -soak $(or $(SOAK),10m) -timeout 0
	go test -race ./wsproxy -run TestSoak -v -soak $(or $(SOAK),10m) -timeout 0

pictures: deps ## an hour of a desktop at random, with new sizes, before every kind of viewer: no pixel may be wrong (SOAK=10m, SEED=7)
	SHADOW_LIVE=1 SHADOW_PICTURES=$(CURDIR)/bin/pictures go test ./source/capture -run 'TestSoak|TestMemory' -v -count=1 -soak $(or $(SOAK),1h) -soak-seed $(or $(SEED),0) -timeout 0

# The WebSocket library's notice points to the one, the X library's to the other, with the same API.
SUCCESSORS := github.com/coder/websocket@v1.8.15 github.com/jezek/xgb@v1.3.1
# What uses them.
SUCCEED := ./wsproxy/... ./consent/... ./internal/host/xconn ./source/capture ./source/internal/screen
# Those of them that take a minute or two.
QUICKLY := ./wsproxy/... ./consent ./consent/desktop/internal/... ./internal/host/xconn ./source/internal/screen

successor: export SHADOW_LIVE := 1
successor: deps ## test wsproxy, consent and the capture with their libraries' successors in the libraries' place
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
		needed=$$(go list -deps -test -f '{{with .Module}}{{if .Main}}{{$$.Dir}}{{end}}{{end}}' $(SUCCEED) | sort -u); \
		cp -R --parents go.mod go.sum testdata dist $$(realpath --relative-to=. $$needed) "$$dir"; cd "$$dir"; \
		find . -name '*.go' -exec sed -i -e 's#nhooyr.io/websocket#github.com/coder/websocket#' \
			-e 's#github.com/BurntSushi/xgb#github.com/jezek/xgb#' {} +; \
		go get $(SUCCESSORS); \
		go vet $(SUCCEED); go test -race -timeout 40m $(SUCCEED)

fleet: deps ## gates, NATS servers, hosts with desktops and a browser, in namespaces: killed, cut off, slow, without room, with wrong clocks; as root, an hour
	SHADOW_LIVE=1 SHADOW_FLEET=1 go test -count=1 -v -timeout 120m -run TestFaults ./internal/fleet/rig

nightly: ## what is too long for each change: all tests with the successors, soak, an hour of pictures, fuzzers, whole desktops, every viewer, a booted host, a fleet's faults, the policies, newest dependencies, known vulnerabilities
	$(MAKE) --no-print-directory successor soak pictures fuzz desktops viewers hosts fleet policies newest vulnerabilities

# Whole desktops and their lockers, some 1.5 GB.
DESKTOPS := xfce4-panel xfdesktop4 xfce4-settings mate-session-manager mate-panel caja mate-settings-daemon lxqt-session lxqt-panel pcmanfm-qt \
	kwin-x11 plasma-desktop plasma-workspace cinnamon gnome-shell awesome fluxbox hsetroot xmonad libglib2.0-bin xserver-xorg-core xorgxrdp mate-themes desktop-base mate-screensaver cinnamon-screensaver xscreensaver

desktops: deps ## ask, and show the banner, on whole desktops (and their lockers), one after the other; pictures go to bin/desktops
	@.ci/deps $(DESKTOPS)
	SHADOW_LIVE=1 SHADOW_DESKTOPS=$(CURDIR)/bin/desktops go test -count=1 -v -timeout 90m -run 'TestDesktops|TestLockPrograms|TestGNOMEShell' ./consent/desktop ./internal/host/sessionbus

realdesktops: deps ## what the capture costs beside x11vnc on whole desktops, a quarter of an hour; pictures go to bin/realdesktops
	@.ci/deps $(DESKTOPS)
	go run ./tools/screens -desktops all -duration 6s -pictures bin/realdesktops

hosts: deps pages ## install the packages on booted Debians (containers) with XFCE, and do what operators do; as root, half an hour; pictures go to bin/hosts
	@.ci/deps debootstrap systemd-container lintian rpm rpmlint cpio git make dash
	SHADOW_LIVE=1 SHADOW_HOSTS=1 SHADOW_HOSTS_PICTURES=$(CURDIR)/bin/hosts go test -count=1 -v -timeout 75m ./internal/hosts

policies: ## compile the AppArmor profiles and the SELinux module, into bin/policies
	@.ci/deps apparmor selinux-policy-dev
	set -e; for p in dist/apparmor/*; do apparmor_parser --skip-kernel-load --skip-cache --skip-read-cache --warn=all "$$p"; done
	rm -rf bin/policies; mkdir -p bin; cp -R dist/selinux bin/policies
	$(MAKE) -C bin/policies -f /usr/share/selinux/devel/Makefile shadow.pp

newest: deps ## test with the newest version of each dependency
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; git archive HEAD | tar -x -C "$$dir"; \
		cp -R --parents internal/viewer/novnc internal/viewer/dist internal/gate/web/dist internal/gate/web/axe "$$dir"; cd "$$dir"; \
		go get -u ./... && go mod tidy && go vet ./... && go test ./...

vulnerabilities: ## ask Go's database, where it can be reached, about what the programs link
	$(TOOL) govulncheck ./cmd/... || { status=$$?; [ $$status -eq 1 ] && echo "the database can't be reached from here" || exit $$status; }

FUZZTIME ?= 1m

fuzz: ## run each fuzz target for a minute (FUZZTIME=10s: shorter, FUZZ=./rfb: of one package); for a schedule
	@.ci/fuzz $(FUZZTIME) $(FUZZ)

packages: pages ## deb and rpm for amd64 and arm64 into bin/packages (VERSION=1.2.3)
	go run ./tools/packages -version "$(VERSION)" -out bin/packages

clean: ## remove what was built
	rm -rf bin demo.png
	$(CLEANED)

.PHONY: console hosts fleet policies cross help build packages pages deps demo lint test bench soak pictures successor nightly desktops realdesktops viewers newest vulnerabilities fuzz clean
