package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v3"
	"go.yaml.in/yaml/v3"
)

// readConfig reads the file of --config and sets the flags that neither the command line nor
// the environment has set. The default file need not exist.
func (a *app) readConfig(c *cli.Command) error {
	path := a.config
	if path == "" {
		folder, err := os.UserConfigDir()
		if err != nil {
			return nil // without a home there is no file
		}
		path = filepath.Join(folder, "flowcallback", "config.yaml")
	}
	data, err := os.ReadFile(path)
	switch {
	case a.config == "" && errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%w: --config: %w", errUsage, err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return fmt.Errorf("%w: --config %s: %w", errUsage, path, err)
	}
	if len(document.Content) == 0 {
		return nil
	}
	if document.Content[0].Kind != yaml.MappingNode {
		return fmt.Errorf("%w: --config %s: want lines of \"flag: value\"", errUsage, path)
	}
	for pair := range slices.Chunk(document.Content[0].Content, 2) {
		if err := setFlag(c, pair[0].Value, pair[1]); err != nil {
			return fmt.Errorf("%w: --config %s, line %d: %s: %w", errUsage, path, pair[0].Line, pair[0].Value, err)
		}
	}
	return nil
}

func setFlag(c *cli.Command, name string, node *yaml.Node) error {
	value := node.Value
	known := slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
	switch {
	case !known, name == "config", name == "help", name == "version":
		return errors.New("is not a flag that a file can set")
	case node.Kind != yaml.ScalarNode:
		return errors.New("want one value")
	case c.IsSet(name):
		return nil
	}
	return c.Set(name, value)
}
