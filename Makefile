# Targets for people. A target installs what it needs beyond Go and make from Debian's packages,
# if it can. The race detector needs a C compiler.

GOLANGCI_LINT = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.DEFAULT_GOAL := help
.PHONY: help run test postgres postgres-test postgres-chaos interop contract-lint contract-matrix e2e console-lint browser-test dist dist-test bench crash soak fuzz vuln generate baseline lint build clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F '\t' '{printf "  make %-15s %s\n", $$1, $$2}'

run: ## start a demo server on which a flow waits, and print the command that resumes it
	@echo "Building flowcallbackd; the first time takes a minute or two."
	@go build -o bin/ ./server/cmd/flowcallbackd && exec bin/flowcallbackd --demo

RACE := $(if $(shell command -v $$(go env CC)),-race)

test: curl openssl strace zsh fish ## run all tests, with the race detector if there is a C compiler
	@test -n "$(RACE)" || echo "There is no C compiler, so the tests run without the race detector."
	go test $(RACE) ./...

postgres: postgresql ## run a PostgreSQL to try things with, on port 5433, until it is interrupted
	@go build -o bin/ ./server/cmd/postgrestrial && exec bin/postgrestrial --listen 127.0.0.1:5433

postgres-test: postgresql pgbouncer nginx curl ## run the tests that need PostgreSQL, with a real one
	go test $(RACE) -timeout 15m ./server/engine/postgres -postgres
	go test -timeout 15m -run 'TestPostgres|TestCopy|TestPasswords' ./server/cmd/flowcallbackd -postgres
	go test -timeout 15m -run TestDocuments/server/engine/postgres ./server/documents -postgres

CHAOS = 25000

postgres-chaos: postgresql ## disturb two servers on PostgreSQL while CHAOS states (25000) are settled, in each of several ways
	go test -timeout 120m -run TestPostgresChaos -v ./server/cmd/flowcallbackd -postgres -chaos $(CHAOS)

interop: node python3 nginx ## test the server with the vendor's SDKs, through nginx too, and the examples in other languages
	cd server/interop && npm ci --no-audit --no-fund
	cd openapi/examples/typescript && npm ci --no-audit --no-fund
	cd server/interop && go test $(RACE) -skip 'TestTools|TestMatrix' .

contract-lint: node ## test the contract with Redocly, Spectral, Prism, Portman, openapi-typescript and oasdiff
	cd server/interop && npm ci --no-audit --no-fund
	cd server/interop/lint && npm ci --no-audit --no-fund
	cd server/interop && go test -run TestTools -v .

contract-matrix: node ## try eight generators with the contract; UPDATE=-update writes openapi/GENERATORS.md
	cd server/interop/matrix && npm ci --no-audit --no-fund
	cd server/interop && go test -run TestMatrix . $(UPDATE)

e2e: bin/temporal node ## test the Temporal engine against a real Temporal
	cd server/engine/temporal/e2e/testdata/typescript && npm install --no-save --no-audit --no-fund
	cd server/engine/temporal/e2e && PATH="$(CURDIR)/bin:$$PATH" go test $(RACE) .

console-lint: node ## check the types of the console's scripts against the contract, and their formatting
	cd server/console/browser && npm ci --no-audit --no-fund && npm run --silent lint

browser-test: chromium node ## test the pages in Chromium
	cd server/console/browser && npm ci --no-audit --no-fund && go test -timeout 20m .

dist: ## build static archives for all platforms into dist/, with checksums and SBOMs
	go run ./server/cmd/dist

dist-test: ## test that archives are static, complete and reproducible
	go test ./server/cmd/dist -dist

bench: postgresql ## measure, and write the figures to server/benchmarks.md (about ten minutes)
	( go test -run '^$$' -bench 'Callback|Plain|Unvalidated|JSONValid' -count 3 ./server && \
	  go test -run '^$$' -bench Loopback -benchtime 60000x -count 3 ./server && \
	  go test -run '^$$' -bench Store -benchtime 200000x ./server/engine/sqlite && \
	  go test -run '^$$' -bench 'Durable|Growth|Polls' -benchtime 30000x ./server/cmd/flowcallbackd && \
	  go test -run '^$$' -bench Retention -benchtime 150000x ./server/cmd/flowcallbackd && \
	  go test -run '^$$' -bench Postgres -benchtime 200000x -timeout 30m ./server/engine/postgres -postgres && \
	  go test -run '^$$' -bench Wake -benchtime 1000x ./server/engine/postgres -postgres && \
	  go test -run '^$$' -bench PostgresHTTP -benchtime 50000x ./server/cmd/flowcallbackd -postgres || echo FAIL ) | \
	  go run ./server/cmd/benchtable > server/benchmarks.md.new
	mv server/benchmarks.md.new server/benchmarks.md
	@cat server/benchmarks.md

CRASHES = 300
STATES = 1000000

crash: ## kill a server CRASHES times (300) under load, and once while it folds STATES waits (1000000)
	go test -run 'TestCrashes|TestRandomOrder' -timeout 120m ./server/cmd/flowcallbackd -crashes $(CRASHES) -states $(STATES)

soak: ## load a server for twenty minutes, and attack one for two
	go test -run TestHostileLoad -timeout 10m -v ./server/cmd/flowcallbackd -hostile 2m
	go test -run TestSoak -timeout 30m -v ./server -soak 20m

FUZZTIME = 2m

fuzz: ## run each fuzz target for FUZZTIME (2m)
	go test -run '^$$' -fuzz FuzzCheckRequest -fuzztime $(FUZZTIME) ./openapi/contract
	go test -run '^$$' -fuzz FuzzParse -fuzztime $(FUZZTIME) ./openapi/signature
	go test -run '^$$' -fuzz FuzzFile -fuzztime $(FUZZTIME) ./server/auth
	cd server/interop && go test -run '^$$' -fuzz FuzzSecondOpinion -fuzztime $(FUZZTIME) .

vuln: ## look for known vulnerabilities (needs the network)
	go run golang.org/x/vuln/cmd/govulncheck@latest ./...

build: ## build both commands into bin/
	go build -trimpath -o bin/ ./server/cmd/flowcallbackd ./client/cmd/flowcallback

generate: ## generate gen/ and openapi/published/ from the documents in openapi/
	go generate ./gen

baseline: ## keep the contract as it is released, for later ones to be compared with
	cd server/interop && go test -count=1 -run 'TestTools/a_change' .
	cp openapi/published/callback.json openapi/published/waits.json openapi/baseline/

lint: ## check formatting and style
	$(GOLANGCI_LINT) run ./...
	cd server/engine/temporal/e2e && $(GOLANGCI_LINT) run --config ../../../../.golangci.yml .
	cd server/console/browser && $(GOLANGCI_LINT) run --config ../../../.golangci.yml .
	cd server/interop && $(GOLANGCI_LINT) run --config ../../.golangci.yml .

clean: ## remove what was built
	rm -rf bin dist

# Temporal's command has the development server that the tests use. This is the newest version
# that can be installed as a Go module. The first build takes some minutes.
bin/temporal:
	@echo "Building Temporal's command; the first time takes some minutes."
	GOBIN="$(CURDIR)/bin" go install github.com/temporalio/cli/cmd/temporal@v1.5.1

chromium:
	@command -v chromium >/dev/null || (apt-get update && apt-get install -y chromium)

.PHONY: curl openssl python3 zsh fish strace node chromium postgresql pgbouncer nginx
curl openssl python3 zsh fish: # for the tests of the documents, the examples and the completions
	@command -v $@ >/dev/null || (apt-get update && apt-get install -y $@)

strace: # makes the disk fail in one test
	@test "$$(uname)" != Linux || command -v strace >/dev/null || (apt-get update && apt-get install -y strace)

node: # version 20 or later
	@command -v npm >/dev/null || (apt-get update && apt-get install -y nodejs npm)

postgresql: # RUNLEVEL=1: Debian starts no service for these
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || (apt-get update && RUNLEVEL=1 apt-get install -y $@)

pgbouncer nginx:
	@command -v $@ >/dev/null || test -x /usr/sbin/$@ || (apt-get update && RUNLEVEL=1 apt-get install -y $@)
