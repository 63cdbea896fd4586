// Command publish writes the forms of the two documents that stand alone, for tools that read one file
// and for those without YAML: callback.json, and waits.yaml and waits.json with what they refer to in
// callback.yaml. Run it in the folder openapi, as `make generate` does.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	target = "published"
	note   = "Made by `make generate` from waits.yaml and callback.yaml. Edit those instead."
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "publish:", err)
		os.Exit(1)
	}
}

func run() error {
	callback, err := read("callback.yaml")
	if err != nil {
		return err
	}
	waits, err := read("waits.yaml")
	if err != nil {
		return err
	}
	if err := bundle(waits, callback); err != nil {
		return err
	}
	waits.HeadComment = note
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(waits); err != nil {
		return err
	}
	files := map[string][]byte{"waits.yaml": text.Bytes()}
	for name, root := range map[string]*yaml.Node{"callback.json": callback, "waits.json": waits} {
		if files[name], err = toJSON(root); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for name, root := range map[string]*yaml.Node{"callback.yaml": callback, "waits.yaml": waits} {
		if err := standsAlone(root); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(target, name), content, 0o644); err != nil { //nolint:gosec // everyone may read it
			return err
		}
	}
	return nil
}

// read returns the mapping that a document consists of.
func read(name string) (*yaml.Node, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return document.Content[0], nil
}

// bundle copies into a document what it refers to in another one, callback.yaml, and refers to the copies.
func bundle(document, other *yaml.Node) error {
	copied := map[string]bool{}
	var follow func(node *yaml.Node, isCopy bool) error
	follow = func(node *yaml.Node, isCopy bool) error {
		for i, child := range node.Content {
			if node.Kind == yaml.MappingNode && i%2 == 1 && node.Content[i-1].Value == "$ref" {
				path, isOther := strings.CutPrefix(child.Value, "callback.yaml#")
				if isCopy {
					path, isOther = strings.CutPrefix(child.Value, "#")
				}
				if isOther {
					child.Value = "#" + path
					child.Style = yaml.SingleQuotedStyle
				}
				if !isOther || copied[path] {
					continue
				}
				copied[path] = true
				found, err := add(document, other, path)
				if err == nil {
					err = follow(found, true)
				}
				if err != nil {
					return err
				}
				continue
			}
			if err := follow(child, isCopy); err != nil {
				return err
			}
		}
		return nil
	}
	return follow(document, false)
}

// add copies the component at a path, such as /components/schemas/RunId, and returns the copy.
func add(document, other *yaml.Node, path string) (*yaml.Node, error) {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	from, to := other, document
	for i, part := range parts {
		next := member(from, part)
		if next == nil {
			return nil, fmt.Errorf("callback.yaml has no %s", path)
		}
		if i == len(parts)-1 {
			next = clone(next)
			if there := member(to, part); there != nil {
				if reference := member(there, "$ref"); reference == nil || reference.Value != "#"+path {
					return nil, fmt.Errorf("both documents have %s", path)
				}
				*there = *next // the component was this reference alone
				return there, nil
			}
		}
		into := member(to, part)
		if into == nil {
			into = next
			if i < len(parts)-1 {
				into = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
			}
			to.Content = append(to.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: part}, into)
		}
		from, to = next, into
	}
	return to, nil
}

func member(mapping *yaml.Node, name string) *yaml.Node {
	for i := 0; i < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// standsAlone refuses what a published document must not have: a reference to another one, and a member twice.
func standsAlone(node *yaml.Node) error {
	seen := map[string]bool{}
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 0 {
			if child.Value == "<<" || seen[child.Value] {
				return fmt.Errorf("line %d: %s is there twice, or is a merge", child.Line, child.Value)
			}
			seen[child.Value] = true
			if value := node.Content[i+1].Value; child.Value == "$ref" && !strings.HasPrefix(value, "#/") {
				return fmt.Errorf("line %d: the reference %s begins with neither # nor callback.yaml#", child.Line, value)
			}
		}
		if err := standsAlone(child); err != nil {
			return err
		}
	}
	return nil
}

func clone(node *yaml.Node) *yaml.Node {
	same := *node
	same.Content = make([]*yaml.Node, len(node.Content))
	for i, child := range node.Content {
		same.Content[i] = clone(child)
	}
	return &same
}

// toJSON returns a node as indented JSON, with the members in their order and numbers as they are written.
func toJSON(node *yaml.Node) ([]byte, error) {
	var plain, indented bytes.Buffer
	if err := writeJSON(&plain, node); err != nil {
		return nil, err
	}
	err := json.Indent(&indented, plain.Bytes(), "", "  ")
	indented.WriteByte('\n')
	return indented.Bytes(), err
}

func writeJSON(w *bytes.Buffer, node *yaml.Node) error {
	switch node.Kind {
	case yaml.MappingNode, yaml.SequenceNode:
		open, shut := byte('['), byte(']')
		if node.Kind == yaml.MappingNode {
			open, shut = '{', '}'
		}
		w.WriteByte(open)
		for i, child := range node.Content {
			isValue := node.Kind == yaml.MappingNode && i%2 == 1
			switch {
			case isValue:
				w.WriteByte(':')
			case i > 0:
				w.WriteByte(',')
			}
			if node.Kind == yaml.MappingNode && !isValue {
				if err := writeText(w, child.Value); err != nil { // a status is a number in YAML
					return err
				}
				continue
			}
			if err := writeJSON(w, child); err != nil {
				return err
			}
		}
		w.WriteByte(shut)
		return nil
	case yaml.ScalarNode:
		switch node.Tag {
		case "!!int", "!!float", "!!bool", "!!null":
			w.WriteString(node.Value)
			return nil
		}
		return writeText(w, node.Value)
	default:
		return fmt.Errorf("line %d: the documents use no anchors and aliases", node.Line)
	}
}

func writeText(w *bytes.Buffer, text string) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(text) // the line feed after it is white space
}
