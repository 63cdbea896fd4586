// Command example is a worker with one workflow that waits for a callback. It starts a run,
// prints how to call it back, and prints the outcome. It finds Temporal as Temporal's own
// tools do: at localhost:7233, or at TEMPORAL_ADDRESS.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine/temporal/flow"
)

// orderApproval waits until its state "approve" is called back, for at most a day.
func orderApproval(ctx workflow.Context, order string) (waits.Outcome, error) {
	return flow.Await(ctx, "approve", 24*time.Hour, map[string]string{"order": order})
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "example:", err)
		os.Exit(1)
	}
	stop()
}

func run(ctx context.Context) error {
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return err
	}
	options.Logger = log.NewStructuredLogger(slog.Default()) // to standard error
	c, err := client.DialContext(ctx, options)
	if err != nil {
		return fmt.Errorf("reaching Temporal (is \"temporal server start-dev\" running?): %w", err)
	}
	defer c.Close()
	w := worker.New(c, "orders", worker.Options{})
	w.RegisterWorkflow(orderApproval)
	flow.Register(w)
	if err := w.Start(); err != nil {
		return err
	}
	defer w.Stop()
	started, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: "orders"}, orderApproval, "4711")
	if err != nil {
		return err
	}
	if err := untilWaiting(ctx, c, started); err != nil {
		return err
	}
	fmt.Printf("The flow waits. Resume it from another terminal:\n\n"+
		"  flowcallback succeed --workflow-id %s --run-id %s --state-id approve --output '{\"approved\":true}'\n\n", started.GetID(), started.GetRunID())
	var outcome waits.Outcome
	if err := started.Get(ctx, &outcome); err != nil {
		return err
	}
	fmt.Printf("The flow goes on: %s with %s\n", outcome.Result, outcome.Output)
	return nil
}

// untilWaiting blocks until the worker has scheduled the activity that waits. A callback before
// that would find no state.
func untilWaiting(ctx context.Context, c client.Client, run client.WorkflowRun) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		description, err := c.DescribeWorkflowExecution(ctx, run.GetID(), run.GetRunID())
		if err != nil || len(description.GetPendingActivities()) > 0 {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
