// Package auth authenticates and authorizes callers of a server. A principal has a token, or
// an access key with which it signs requests. A file lists the principals and what each may
// do. Callers that send wrong credentials repeatedly are slowed down.
//
// The file has the hashes of tokens, but the secrets of access keys in clear text, because
// they are needed to verify signatures: protect the file. The package issues no sessions,
// asks no other service, and logs no credentials.
package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/flowcallback/flowcallback/server"
)

// A principal is a caller that the file lists.
type principal struct {
	name     string
	projects []string
	actions  []server.Action

	tokenHash []byte // SHA-256 of the token; nil if the principal has an access key
	accessKey string
	secretKey string
}

func (p *principal) may(action server.Action, projectID string) bool {
	return action == server.ActionAsk || slices.Contains(p.actions, action) && (slices.Contains(p.projects, projectID) || slices.Contains(p.projects, server.AnyProject))
}

// entry is a principal in the file.
type entry struct {
	Name        string          `yaml:"name"`
	Projects    []string        `yaml:"projects"`
	Allow       []server.Action `yaml:"allow"`
	TokenSHA256 string          `yaml:"token_sha256"`
	AccessKey   string          `yaml:"access_key"`
	SecretKey   string          `yaml:"secret_key"`
}

// load reads the principals of a file. allProjects refuses principals that are restricted to
// some projects.
func load(path string, allProjects bool) ([]*principal, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o002 != 0 {
		return nil, fmt.Errorf("%s: every user of this machine can change it: chmod o-w", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	principals, err := parse(data, allProjects)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return principals, nil
}

// parse reads the principals of a document. Its errors name the line and contain no secret.
func parse(data []byte, allProjects bool) ([]*principal, error) {
	var document, another yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, errors.New("line 1: want a list \"principals\"")
	case err != nil:
		return nil, errors.New("not well-formed YAML: check indentation and quotes" + lineOf(err))
	}
	switch err := decoder.Decode(&another); {
	case err == nil:
		return nil, at(&another, "a second YAML document begins: want one")
	case !errors.Is(err, io.EOF):
		return nil, errors.New("not well-formed YAML: check indentation and quotes" + lineOf(err))
	}
	list, err := member(document.Content[0], "principals")
	if err != nil {
		return nil, err
	}
	if list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		return nil, at(list, "\"principals\" must be a list with at least one principal")
	}
	var principals []*principal
	for _, item := range list.Content {
		p, err := parsePrincipal(item)
		if err != nil {
			return nil, err
		}
		for _, other := range principals {
			switch {
			case other.name == p.name:
				return nil, at(item, "the name %q is used twice", p.name)
			case p.accessKey != "" && other.accessKey == p.accessKey:
				return nil, at(item, "%s and %s have the same access_key", other.name, p.name)
			case p.tokenHash != nil && slices.Equal(other.tokenHash, p.tokenHash):
				return nil, at(item, "%s and %s have the same token_sha256", other.name, p.name)
			}
		}
		if allProjects && !slices.Contains(p.projects, server.AnyProject) {
			return nil, at(item, "%s is restricted to projects, but this engine serves all projects from one namespace: use projects: [%q], or an engine URL without a namespace", p.name, server.AnyProject)
		}
		principals = append(principals, p)
	}
	return principals, nil
}

// minSecret is the smallest number of characters in a secret key, and minDifferent of
// different ones. Weaker ones could be guessed, because valid credentials are always judged.
const (
	minSecret    = 16
	minDifferent = 8
)

// isWeak reports whether a secret key could be guessed.
func isWeak(secret string) bool {
	different := map[rune]bool{}
	for _, c := range secret {
		different[c] = true
	}
	return secret == placeholder || utf8.RuneCountInString(secret) < minSecret || len(different) < minDifferent
}

// placeholder is the secret key of example.yaml.
const placeholder = "A LONG RANDOM TEXT"

// isPartialPattern reports whether a project looks like a pattern, which only "*" alone is.
func isPartialPattern(project string) bool {
	return project != server.AnyProject && strings.Contains(project, server.AnyProject)
}

func parsePrincipal(item *yaml.Node) (*principal, error) {
	known := []string{"name", "projects", "allow", "token_sha256", "access_key", "secret_key"}
	if item.Kind != yaml.MappingNode {
		return nil, at(item, "a principal must be a mapping with name, projects, allow and a credential")
	}
	seen := map[string]bool{}
	for pair := range slices.Chunk(item.Content, 2) {
		name := pair[0].Value
		switch {
		case !slices.Contains(known, name):
			return nil, at(pair[0], "unknown member; a principal has name, projects, allow, token_sha256, access_key and secret_key")
		case seen[name]:
			return nil, at(pair[0], "%s is given twice", name)
		}
		seen[name] = true
	}
	var e entry
	if err := item.Decode(&e); err != nil {
		return nil, at(item, "name, token_sha256, access_key and secret_key must be texts, projects and allow lists of texts")
	}
	p := &principal{name: e.Name, projects: e.Projects, actions: e.Allow, accessKey: e.AccessKey, secretKey: e.SecretKey}
	switch {
	case p.name == "":
		return nil, at(item, "name is missing")
	case strings.HasPrefix(p.name, server.LinkPrincipal):
		return nil, at(item, "the name %q begins with %q, as the record of those who decide by link does", p.name, server.LinkPrincipal)
	case len(p.projects) == 0 || slices.Contains(p.projects, ""):
		return nil, at(item, "projects must list ids of projects, or %q for all", server.AnyProject)
	case slices.ContainsFunc(p.projects, isPartialPattern):
		return nil, at(item, "a project is a whole id, or %q alone for all projects", server.AnyProject)
	case len(p.actions) == 0:
		return nil, at(item, "allow must list %s, %s or both", server.ActionCallback, server.ActionWait)
	case (e.AccessKey == "") != (e.SecretKey == ""):
		return nil, at(item, "access_key and secret_key must be given together")
	case (e.TokenSHA256 == "") == (e.AccessKey == ""):
		return nil, at(item, "want either token_sha256, or access_key and secret_key")
	}
	if e.SecretKey != "" && isWeak(e.SecretKey) {
		return nil, at(item, "secret_key must be a random text of at least %d characters, at least %d of them different; `flowcallbackd token` prints a suitable one", minSecret, minDifferent)
	}
	for _, action := range p.actions {
		if action != server.ActionCallback && action != server.ActionWait {
			return nil, at(item, "allow must list %s, %s or both", server.ActionCallback, server.ActionWait)
		}
	}
	if e.TokenSHA256 != "" {
		var err error
		if p.tokenHash, err = hex.DecodeString(e.TokenSHA256); err != nil || len(p.tokenHash) != sha256.Size {
			return nil, at(item, "token_sha256 must be the 64 hex digits that `flowcallbackd token` prints")
		}
		if empty := sha256.Sum256(nil); slices.Equal(p.tokenHash, empty[:]) {
			return nil, at(item, "token_sha256 is the hash of an empty token: use the one that `flowcallbackd token` prints")
		}
	}
	return p, nil
}

// member returns the one member that a mapping may have.
func member(mapping *yaml.Node, name string) (*yaml.Node, error) {
	if mapping.Kind != yaml.MappingNode || len(mapping.Content) != 2 || mapping.Content[0].Value != name {
		return nil, at(mapping, "want a list %q and no other member", name)
	}
	return mapping.Content[1], nil
}

func at(node *yaml.Node, format string, arguments ...any) error {
	return fmt.Errorf("line %d: %s", node.Line, fmt.Sprintf(format, arguments...))
}

// lineOf returns the line that an error of the YAML reader names, without its text, which may
// quote the file.
func lineOf(err error) string {
	var line int
	if _, scanErr := fmt.Sscanf(err.Error(), "yaml: line %d:", &line); scanErr != nil {
		return ""
	}
	return fmt.Sprintf(" near line %d", line)
}
