# Needs Go, Node with npm, make, and on Debian or Ubuntu apt; the rest it gets.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# What a virtual desktop needs, and what only tests need besides.
DESKTOP := xvfb openbox xterm x11vnc xdotool xinput xauth x11-utils x11-apps x11-xserver-utils fonts-dejavu-core
TESTING := $(DESKTOP) chromium tigervnc-viewer xtightvncviewer gvncviewer xsel libnss3-tools openssl dbus tigervnc-standalone-server gcc libc6-dev picom metacity icewm websockify nginx-light haproxy redis-server novnc procps zenity nftables iptables iproute2 fonts-noto-core fonts-noto-cjk i3lock xfwm4 xfconf marco mate-desktop-common mate-settings-daemon-common mutter i3-wm wmctrl xsecurelock

NOVNC := internal/viewer/dist/index.html

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: novnc ## build shadowd, shadowctl, websockify and rfbtrace into bin
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/...

novnc: $(NOVNC) ## fetch noVNC from npm and bundle the page of a granted port, to be embedded

$(NOVNC): internal/viewer/package-lock.json $(wildcard internal/viewer/page/*)
	cd internal/viewer && npm ci --ignore-scripts --no-audit --no-fund
	rm -rf internal/viewer/novnc/*
	cd internal/viewer/node_modules/@novnc/novnc && \
		cp -R core vendor package.json AUTHORS LICENSE.txt $(CURDIR)/internal/viewer/novnc && \
		mkdir $(CURDIR)/internal/viewer/novnc/docs && cp docs/LICENSE.* $(CURDIR)/internal/viewer/novnc/docs
	find internal/viewer/dist -mindepth 1 ! -name .gitkeep -delete
	cd internal/viewer && npm run --silent build
	rm -rf internal/viewer/node_modules

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
test: deps novnc lint ## install what is needed, lint, all tests with -race, cross and successor
	go test -race -timeout 30m ./...
	$(MAKE) --no-print-directory cross successor

# What the gateway is compared with.
MEASURED := websockify haproxy

# What needs no Linux, which every system with Go has use for.
PORTABLE := ./rfb/... ./wsproxy/... ./portpool/... ./tlsstore/... ./consent ./consent/policy ./cmd/websockify/... ./cmd/rfbtrace/...

cross: ## build for the other processors, and what needs no Linux for the other systems
	@set -e; for arch in 386 arm arm64; do echo linux/$$arch; \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch go build -o /dev/null $$(go list -f "{{if .GoFiles}}{{.ImportPath}}{{end}}" ./... | grep -v /tools/); done
	@set -e; for os in darwin freebsd; do echo $$os/arm64; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=arm64 go build -o /dev/null $(PORTABLE); done

bench: ## compare the speed with websockify, HAProxy and a raw relay, into docs/performance.md (20 minutes, as root; ROUNDS=5)
	@.ci/deps $(MEASURED)
	go build -trimpath -o bin/bench ./tools/bench
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bin/websockify ./cmd/websockify
	bin/bench run -config tools/bench/peers.json -rounds $(or $(ROUNDS),5) -duration 1500ms -out bin/bench-result -doc docs/performance.md

# What is watched with, besides Chromium, and shown.
VIEWING := $(TESTING) ssvnc qemu-system-x86

viewers: novnc ## every viewer in front of every server, for a schedule: releases of noVNC from npm, native viewers
	@.ci/deps $(VIEWING)
	SHADOW_LIVE=1 SHADOW_VIEWERS=1 go test ./internal/viewers -v -count=1 -timeout 60m

soak: ## ten minutes of viewers that come and go in every way, and ten more with -race (SOAK=1h: longer)
	go test ./wsproxy -run TestSoak -v -soak $(or $(SOAK),10m) -timeout 0
	go test -race ./wsproxy -run TestSoak -v -soak $(or $(SOAK),10m) -timeout 0

# The WebSocket library's notice points to the one, the X library's to the other, with the same API.
SUCCESSORS := github.com/coder/websocket@v1.8.15 github.com/jezek/xgb@v1.3.1
# What uses them.
SUCCEED := ./wsproxy/... ./consent/... ./internal/host/xconn ./source/capture ./source/internal/screen

successor: export SHADOW_LIVE := 1
successor: deps ## test wsproxy, consent and the capture with their libraries' successors in the libraries' place
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
		needed=$$(go list -deps -test -f '{{with .Module}}{{if .Main}}{{$$.Dir}}{{end}}{{end}}' $(SUCCEED) | sort -u); \
		cp -R --parents go.mod go.sum testdata dist $$(realpath --relative-to=. $$needed) "$$dir"; cd "$$dir"; \
		find . -name '*.go' -exec sed -i -e 's#nhooyr.io/websocket#github.com/coder/websocket#' \
			-e 's#github.com/BurntSushi/xgb#github.com/jezek/xgb#' {} +; \
		go get $(SUCCESSORS); \
		go vet $(SUCCEED); go test -race -timeout 30m $(SUCCEED)

nightly: ## what is too long for each change: soak, fuzzers, whole desktops, every viewer, newest dependencies, known vulnerabilities
	$(MAKE) --no-print-directory soak fuzz desktops viewers newest vulnerabilities

# Whole desktops and their lockers, some 1.5 GB.
DESKTOPS := xfce4-panel xfdesktop4 xfce4-settings mate-session-manager mate-panel caja mate-settings-daemon lxqt-session lxqt-panel pcmanfm-qt \
	kwin-x11 cinnamon gnome-shell awesome fluxbox xmonad mate-screensaver cinnamon-screensaver xscreensaver

desktops: deps ## ask, and show the banner, on whole desktops (and their lockers), one after the other; pictures go to bin/desktops
	@.ci/deps $(DESKTOPS)
	SHADOW_LIVE=1 SHADOW_DESKTOPS=$(CURDIR)/bin/desktops go test -count=1 -v -timeout 90m -run 'TestDesktops|TestLockPrograms' ./consent/desktop

newest: deps ## test with the newest version of each dependency
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; git archive HEAD | tar -x -C "$$dir"; \
		cp -R internal/viewer/novnc internal/viewer/dist "$$dir/internal/viewer/"; cd "$$dir"; \
		go get -u ./... && go mod tidy && go vet ./... && go test ./...

vulnerabilities: ## ask Go's database, where it can be reached, about what the programs link
	$(TOOL) govulncheck ./cmd/... || { status=$$?; [ $$status -eq 1 ] && echo "the database can't be reached from here" || exit $$status; }

FUZZTIME ?= 1m

fuzz: ## run each fuzz target for a minute (FUZZTIME=10s: shorter, FUZZ=./rfb: of one package); for a schedule
	@.ci/fuzz $(FUZZTIME) $(FUZZ)

packages: novnc ## deb and rpm for amd64 and arm64 into bin/packages (VERSION=1.2.3)
	go run ./tools/packages -version "$(VERSION)" -out bin/packages

clean: ## remove what was built
	rm -rf bin demo.png
	find internal/viewer/novnc internal/viewer/dist -mindepth 1 ! -name .gitkeep -delete

.PHONY: cross help build packages novnc deps demo lint test bench soak successor nightly desktops viewers newest vulnerabilities fuzz clean
