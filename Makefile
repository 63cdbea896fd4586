# What a person does here. Everything that a target needs beyond Go, a C compiler (for the race
# detector) and make, it fetches itself.

GOLANGCI_LINT = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.DEFAULT_GOAL := help
.PHONY: help run test generate lint build clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F '\t' '{printf "  make %-12s %s\n", $$1, $$2}'

run: ## start a server on which a flow waits, and print the curl that resumes it
	@echo "Building flowcallbackd; the first time takes a minute or two."
	@go build -o bin/ ./server/cmd/flowcallbackd && exec bin/flowcallbackd --demo

test: curl ## run all tests, with the race detector
	go test -race ./...

build: ## build both commands into bin/
	go build -trimpath -o bin/ ./server/cmd/flowcallbackd ./client/cmd/flowcallback

generate: ## generate gen/ anew from openapi/
	go generate ./gen

lint: ## check formatting and style
	$(GOLANGCI_LINT) run ./...

clean: ## remove what was built
	rm -rf bin

# One test resumes the demo's flow with the curl that the demo prints.
.PHONY: curl
curl:
	@command -v curl >/dev/null || (apt-get update && apt-get install -y curl)
