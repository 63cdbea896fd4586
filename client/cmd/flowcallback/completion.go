package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
)

// The scripts hand the words of the line to completeCommand, as they are: nothing on the line is
// evaluated. They need no package beside the shell.
var completionScripts = map[string]string{
	"bash": `# Completion of flowcallback for bash.
_flowcallback() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    COMPREPLY+=("${line%%$'\t'*}")
  done < <(flowcallback ` + completeCommand + ` -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _flowcallback flowcallback
`,
	"zsh": `#compdef flowcallback
# Completion of flowcallback for zsh.
(( $+functions[compdef] )) || { autoload -U compinit && compinit }
_flowcallback() {
  local -a found
  local line
  while IFS= read -r line; do
    found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
  done < <(flowcallback ` + completeCommand + ` -- "${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( $#found )); then
    _describe flowcallback found
  else
    _files
  fi
}
compdef _flowcallback flowcallback
`,
	"fish": `# Completion of flowcallback for fish.
function __flowcallback_complete
    set -l words (commandline -opc) (commandline -ct)
    flowcallback ` + completeCommand + ` -- $words[2..-1] 2>/dev/null
end
complete -c flowcallback -f -a '(__flowcallback_complete)'
`,
}

// completeCommand is the name of the command that the scripts call.
const completeCommand = "__complete"

func (a *app) completion() *cli.Command {
	shells := []string{"bash", "zsh", "fish"}
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a script that completes commands, flags and their values",
		ArgsUsage: strings.Join(shells, "|"),
		Description: `Examples:
  source <(flowcallback completion bash)                                            # in ~/.bashrc
  source <(flowcallback completion zsh)                                             # in ~/.zshrc
  flowcallback completion fish > ~/.config/fish/completions/flowcallback.fish`,
		Action: func(_ context.Context, c *cli.Command) error {
			script, ok := completionScripts[c.Args().First()]
			if !ok || c.Args().Len() != 1 {
				return fmt.Errorf("%w: want one shell: %s", errUsage, strings.Join(shells, ", "))
			}
			_, err := fmt.Fprint(a.stdout, script)
			return err
		},
	}
}

// complete prints what the last of some words can be, one candidate a line, with a description
// after a tab.
func (a *app) complete(root *cli.Command, words []string) error {
	for _, c := range candidates(root, words) {
		if _, err := fmt.Fprintf(a.stdout, "%s\t%s\n", c.word, c.description); err != nil {
			return err
		}
	}
	return nil
}

type candidate struct{ word, description string }

// flagValues are the values of flags that have few.
var flagValues = map[string][]string{
	"status": {string(waits.Waiting), string(waits.Success), string(waits.Fail), string(waits.Expired), string(waits.Cancelled)},
	"allow":  {string(callback.Success), string(callback.Fail)},
	"after":  {"now"},
}

func candidates(root *cli.Command, words []string) (found []candidate) {
	if n := len(words); n > 0 && words[n-1] == "=" { // bash, after --flag=
		words = append(words[:n:n], "")
	}
	words = slices.DeleteFunc(slices.Clone(words), func(word string) bool { return word == "=" }) // bash splits --flag=value
	if len(words) == 0 {
		words = []string{""}
	}
	last, before := words[len(words)-1], words[:len(words)-1]
	command, value := root, "" // value is the flag whose value comes next
	for _, word := range before {
		switch {
		case value != "":
			value = ""
		case strings.HasPrefix(word, "-"):
			if name, _, whole := strings.Cut(strings.TrimLeft(word, "-"), "="); !whole && takesValue(flags(root, command), name) {
				value = name
			}
		default:
			if sub := command.Command(word); sub != nil {
				command = sub
			}
		}
	}
	add := func(word, description string) {
		if strings.HasPrefix(word, last) {
			found = append(found, candidate{word, description})
		}
	}
	name, _, whole := strings.Cut(strings.TrimLeft(last, "-"), "=")
	switch {
	case strings.HasPrefix(last, "-") && whole:
		for _, v := range flagValues[name] {
			add("--"+name+"="+v, "")
		}
	case value != "":
		for _, v := range flagValues[value] {
			add(v, "")
		}
	case strings.HasPrefix(last, "-"):
		for _, flag := range flags(root, command) {
			add("--"+flag.Names()[0], usageOf(flag))
		}
	case command.Name == "completion":
		for shell := range completionScripts {
			add(shell, "")
		}
	default:
		for _, sub := range command.Commands {
			if !sub.Hidden {
				add(sub.Name, sub.Usage)
			}
		}
	}
	slices.SortFunc(found, func(a, b candidate) int { return strings.Compare(a.word, b.word) })
	return found
}

// flags returns the flags of a command and those of all commands.
func flags(root, command *cli.Command) []cli.Flag {
	if command == root {
		return root.Flags
	}
	return slices.Concat(command.Flags, root.Flags)
}

func takesValue(flags []cli.Flag, name string) bool {
	for _, flag := range flags {
		if slices.Contains(flag.Names(), name) {
			documented, ok := flag.(cli.DocGenerationFlag)
			return ok && documented.TakesValue()
		}
	}
	return false
}

func usageOf(flag cli.Flag) string {
	documented, ok := flag.(cli.DocGenerationFlag)
	if !ok {
		return ""
	}
	return strings.ReplaceAll(documented.GetUsage(), "`", "")
}
