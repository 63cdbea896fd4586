package client_test

import (
	"fmt"
	"net/http"

	"github.com/flowcallback/flowcallback/client"
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
