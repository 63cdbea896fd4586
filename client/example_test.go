package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
)

// An HTTP function that runs as a state of a flow sends the callback for that state.
func Example() {
	c, err := client.New("https://functiongraph.cn-north-4.myhuaweicloud.com", "46b6f338fc3445b8846c71dfb1fbd9e8")
	if err != nil {
		panic(err)
	}
	http.HandleFunc("/approve", func(w http.ResponseWriter, r *http.Request) {
		state, err := client.StateFromHeader(r.Header)
		if err == nil {
			_, err = c.Succeed(r.Context(), state, map[string]any{"approved": true})
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	})
}

func ExampleStateFromHeader() {
	header := http.Header{}
	header.Set("X-Cff-Workflow-Id", "order-approval")
	header.Set("X-Cff-Workflow-Run-Id", "aa7d6479-141d-482f-b9bc-85b5cd14066b")
	header.Set("X-Cff-Workflow-State-Id", "0f5758f7-aa43-49ae-8923-c6448d7c1f91")
	state, err := client.StateFromHeader(header)
	fmt.Println(state.Workflow, state.Run, state.State, err)
	// Output: order-approval aa7d6479-141d-482f-b9bc-85b5cd14066b 0f5758f7-aa43-49ae-8923-c6448d7c1f91 <nil>
}

// A run opens a wait for one of its states, hands the question to a person, and blocks until it is
// answered. The schema says what the answer must be.
func ExampleWaits_Open() {
	ctx := context.Background()
	c, err := client.New("http://127.0.0.1:8080", "46b6f338fc3445b8846c71dfb1fbd9e8")
	if err != nil {
		panic(err)
	}
	wait, err := c.Waits.Open(ctx, client.State{Workflow: "order-approval", Run: "run-1", State: "approve"}, client.OpenOptions{
		Title:        "May order 4711 go out?",
		Input:        map[string]any{"order": 4711},
		OutputSchema: json.RawMessage(`{"type":"object","required":["carrier"],"properties":{"carrier":{"type":"string","enum":["post","courier"]}}}`),
		Timeout:      24 * time.Hour,
	})
	if err != nil {
		panic(err)
	}
	link, err := c.Waits.Link(ctx, wait.WaitID, client.LinkOptions{To: "Ines Moreau"})
	if err != nil {
		panic(err)
	}
	fmt.Println("decide here:", link.URL)
	wait, err = c.Waits.Await(ctx, wait.WaitID)
	if err != nil {
		panic(err)
	}
	var answer struct{ Carrier string }
	if err := client.Decode(wait, &answer); err != nil {
		panic(err)
	}
	fmt.Println(wait.Status, answer.Carrier)
}

// Numbers in an any keep every digit.
func ExampleDecode() {
	wait := waits.Wait{Status: waits.Success, Outcome: &waits.Outcome{Result: callback.Success, Output: []byte(`{"amount":129.90,"id":9007199254740993}`)}}
	var output map[string]any
	err := client.Decode(wait, &output)
	fmt.Println(output["amount"], output["id"], err)
	// Output: 129.90 9007199254740993 <nil>
}
