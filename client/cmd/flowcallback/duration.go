package main

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/urfave/cli/v3"
)

// duration is the value of a flag that takes a duration, also in days.
type duration struct{ *time.Duration }

// Set implements cli.Value.
func (d duration) Set(text string) (err error) {
	*d.Duration, err = parseDuration(text)
	return err
}

// Get implements cli.Value.
func (d duration) Get() any { return *d.Duration }

// String implements cli.Value.
func (d duration) String() string { return "" } // the usage names the default

// durationFlag returns a flag whose usage names its default.
func durationFlag(name string, value *time.Duration, usage string) cli.Flag {
	return &cli.GenericFlag{Name: name, Value: duration{value}, HideDefault: true, Usage: usage}
}

// days matches a duration that begins with days.
var days = regexp.MustCompile(`^(\d{1,6})d(.*)$`)

// parseDuration is time.ParseDuration with days, such as 7d and 1d12h.
func parseDuration(text string) (time.Duration, error) {
	whole := time.Duration(0)
	rest := text
	if match := days.FindStringSubmatch(text); match != nil {
		n, err := strconv.Atoi(match[1])
		if err != nil {
			return 0, err
		}
		whole, rest = time.Duration(n)*24*time.Hour, match[2]
		if rest == "" {
			return whole, nil
		}
	}
	part, err := time.ParseDuration(rest)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 90s, 24h or 7d", text)
	}
	return whole + part, nil
}

// checkTimeout refuses a --timeout that is not in whole seconds.
func checkTimeout(c *cli.Command, timeout time.Duration) error {
	if c.IsSet("timeout") && (timeout <= 0 || timeout%time.Second != 0) {
		return fmt.Errorf("%w: --timeout %s: want whole seconds, at least one", errUsage, timeout)
	}
	return nil
}

// instant is the value of a flag that takes an instant: RFC 3339, or a duration from now.
type instant struct{ *time.Time }

// Set implements cli.Value.
func (i instant) Set(text string) error {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		*i.Time = at
		return nil
	}
	d, err := parseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is neither an instant such as 2026-11-23T08:00:00Z nor a duration from now such as 1h or -7d", text)
	}
	*i.Time = time.Now().Add(d)
	return nil
}

// Get implements cli.Value.
func (i instant) Get() any { return *i.Time }

// String implements cli.Value.
func (i instant) String() string { return "" }

func instantFlag(name string, value *time.Time, usage string) cli.Flag {
	return &cli.GenericFlag{Name: name, Value: instant{value}, HideDefault: true, Usage: usage}
}
