// Package auth decides who may call a server: it knows principals by a token or by an
// AK/SK signature, says what each may do, and slows down who guesses.
//
// It stores hashes of tokens, but secrets of access keys as they are, because a signature
// cannot be verified otherwise: keep the file from others. It issues no sessions, asks no
// other service, and logs no credential.
package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/flowcallback/flowcallback/server"
)

// A principal is somebody who may call.
type principal struct {
	name     string
	projects []string
	actions  []server.Action

	tokenHash []byte // SHA-256 of the token; nil: it has an access key
	accessKey string
	secretKey string
}

// anyProject stands in a principal's list for all projects.
const anyProject = "*"

func (p *principal) may(action server.Action, projectID string) bool {
	return slices.Contains(p.actions, action) && (slices.Contains(p.projects, projectID) || slices.Contains(p.projects, anyProject))
}

// entry is a principal as the file has it.
type entry struct {
	Name        string          `yaml:"name"`
	Projects    []string        `yaml:"projects"`
	Allow       []server.Action `yaml:"allow"`
	TokenSHA256 string          `yaml:"token_sha256"`
	AccessKey   string          `yaml:"access_key"`
	SecretKey   string          `yaml:"secret_key"`
}

// load reads the principals of a file.
func load(path string) ([]*principal, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	principals, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return principals, nil
}

// parse reads the principals of a document; its errors name the line and no secret.
func parse(data []byte) ([]*principal, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, errors.New("not well-formed YAML: check indentation and quotes" + lineOf(err))
	}
	if len(document.Content) == 0 {
		return nil, errors.New("line 1: want a list \"principals\"")
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
				return nil, at(item, "the name %q stands twice", p.name)
			case p.accessKey != "" && other.accessKey == p.accessKey:
				return nil, at(item, "%s and %s have the same access_key", other.name, p.name)
			case p.tokenHash != nil && slices.Equal(other.tokenHash, p.tokenHash):
				return nil, at(item, "%s and %s have the same token_sha256", other.name, p.name)
			}
		}
		principals = append(principals, p)
	}
	return principals, nil
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
			return nil, at(pair[0], "a principal has name, projects, allow, token_sha256, access_key and secret_key, and nothing else")
		case seen[name]:
			return nil, at(pair[0], "%s stands twice", name)
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
	case len(p.projects) == 0 || slices.Contains(p.projects, ""):
		return nil, at(item, "projects must list ids of projects, or %q for all", anyProject)
	case len(p.actions) == 0:
		return nil, at(item, "allow must list %s, %s or both", server.ActionCallback, server.ActionWait)
	case (e.AccessKey == "") != (e.SecretKey == ""):
		return nil, at(item, "access_key and secret_key go together")
	case (e.TokenSHA256 == "") == (e.AccessKey == ""):
		return nil, at(item, "want either token_sha256, or access_key and secret_key")
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
	}
	return p, nil
}

// member returns the one member that a mapping may have.
func member(mapping *yaml.Node, name string) (*yaml.Node, error) {
	if mapping.Kind != yaml.MappingNode || len(mapping.Content) != 2 || mapping.Content[0].Value != name {
		return nil, at(mapping, "want a list %q, and nothing beside it", name)
	}
	return mapping.Content[1], nil
}

func at(node *yaml.Node, format string, arguments ...any) error {
	return fmt.Errorf("line %d: %s", node.Line, fmt.Sprintf(format, arguments...))
}

// lineOf returns the line that an error of the YAML reader names, without the rest of its
// words, which may quote the file.
func lineOf(err error) string {
	var line int
	if _, scanErr := fmt.Sscanf(err.Error(), "yaml: line %d:", &line); scanErr != nil {
		return ""
	}
	return fmt.Sprintf(" near line %d", line)
}
