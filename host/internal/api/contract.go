package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"

	"github.com/lubod/lubod/host/internal/bilibili"
)

// securityToken names the API tokens among the security schemes of openapi.yaml.
const securityToken = "token"

// operation is one operation of the contract, as the middleware needs it.
type operation struct {
	route *routers.Route
	// public operations answer without a session.
	public bool
	// takesToken are those that an API token can do.
	takesToken bool
	// anonymous ones do not even look who is calling.
	anonymous bool
	// streaming ones go on until one side ends them; timeout is nothing then.
	streaming bool
	// endsSession: it changes something though it is a GET.
	endsSession bool
	// timeout is how long a handler may take.
	timeout time.Duration
}

// timeoutOf gives more time to the operations that wait for more than the database and one call to the outside.
func timeoutOf(operationID string) time.Duration {
	switch operationID {
	case "reloadPlugins":
		return reloadTimeout
	case "loginByQRCode":
		return bilibili.QRLife + requestTimeout
	}
	return requestTimeout
}

// loadedContract is openapi.yaml as it was read.
type loadedContract struct {
	spec       *openapi3.T
	operations map[string]*operation
	err        error
}

// theContract is read once: the servers of a process, of which tests make many, share what none of them changes.
var theContract = sync.OnceValue(func() (loaded loadedContract) {
	loaded.spec, loaded.operations, loaded.err = loadContract(contract)
	return loaded
})

// loadContract reads openapi.yaml and indexes its operations by method and echo's form of the path.
func loadContract(document []byte) (*openapi3.T, map[string]*operation, error) {
	spec, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, nil, fmt.Errorf("read openapi.yaml: %w", err)
	}
	if err := spec.Validate(context.Background()); err != nil {
		return nil, nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	operations := make(map[string]*operation)
	for path, item := range spec.Paths.Map() {
		echoPath := strings.NewReplacer("{", ":", "}", "").Replace(path)
		for method, op := range item.Operations() {
			security := spec.Security
			if op.Security != nil {
				security = *op.Security
			}
			known := &operation{
				route:     &routers.Route{Spec: spec, Path: path, PathItem: item, Method: method, Operation: op},
				anonymous: slices.Contains([]string{"getHealth", "getContract", "getDocs"}, op.OperationID), timeout: timeoutOf(op.OperationID), public: len(security) == 0,
				endsSession: op.OperationID == "logoutUser",
				streaming:   slices.Contains([]string{"streamEvents", "streamLogs"}, op.OperationID),
			}
			for _, requirement := range security {
				_, token := requirement[securityToken]
				known.public = known.public || len(requirement) == 0
				known.takesToken = known.takesToken || token
			}
			operations[method+" "+echoPath] = known
		}
	}
	return spec, operations, nil
}
