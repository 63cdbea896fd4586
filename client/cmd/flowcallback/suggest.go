package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
)

// suggestCommand returns the question whether a known command was meant, or "".
func suggestCommand(c *cli.Command, name string) string {
	return didYouMean(cli.SuggestCommand(c.Commands, name))
}

// suggestFlag returns a message for an unknown flag, or "" if err is of another kind.
func suggestFlag(c *cli.Command, err error) string {
	_, name, ok := strings.Cut(err.Error(), "not defined: -")
	if !ok {
		return ""
	}
	name = strings.TrimLeft(name, "-")
	flags := slices.Concat(c.Flags, c.Root().Flags)
	return "unknown flag --" + name + didYouMean(cli.SuggestFlag(flags, name, true))
}

func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return "; did you mean " + name + "?"
}
