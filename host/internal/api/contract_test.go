package api

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// errorStatuses are the error answers that an operation of this kind can give, whatever it does.
func errorStatuses(op *operation) []int {
	operation := op.route.Operation
	statuses := []int{http.StatusForbidden, http.StatusInternalServerError}
	if !op.anonymous {
		statuses = append(statuses, http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusServiceUnavailable)
	}
	if operation.RequestBody != nil {
		statuses = append(statuses, http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	for _, parameter := range append(operation.Parameters, op.route.PathItem.Parameters...) {
		switch parameter.Value.In {
		case openapi3.ParameterInQuery, openapi3.ParameterInHeader:
			statuses = append(statuses, http.StatusBadRequest)
		case openapi3.ParameterInPath:
			statuses = append(statuses, http.StatusBadRequest, http.StatusNotFound)
		}
	}
	return statuses
}

// Every operation names its error answers one by one, and shows what is sent and answered. That no other answer is ever
// given is held by the other tests: all of their answers are checked.
func TestContractIsComplete(t *testing.T) {
	_, operations, err := loadContract(contract)
	if err != nil {
		t.Fatal(err)
	}
	for key, op := range operations {
		operation := op.route.Operation
		if operation.Summary == "" || operation.OperationID == "" || len(operation.Tags) != 1 {
			t.Errorf("%s: no summary, operationId or tag", key)
		}
		if operation.Responses.Default() != nil {
			t.Errorf("%s: an answer for any status says nothing", key)
		}
		for _, status := range errorStatuses(op) {
			if operation.Responses.Status(status) == nil {
				t.Errorf("%s: %d is missing", key, status)
			}
		}
		if body := operation.RequestBody; body != nil {
			requireExamples(t, key, body.Value.Content)
		}
		for status, response := range operation.Responses.Map() {
			requireExamples(t, key+" "+status, response.Value.Content)
			if code, err := strconv.Atoi(status); err != nil || code >= 400 && response.Value.Content.Get("application/json") == nil {
				t.Errorf("%s %s: an error answer is JSON", key, status)
			}
		}
	}
}

// Two headers where one belongs are a mistake of the request, also where nothing else can be.
func TestHeaderThatIsSentTwice(t *testing.T) {
	h := newLoggedIn(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.base+"/api/v1/docs", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header["Accept-Language"] = []string{"zh", "en"}
	response, err := newContractTransport(t, http.DefaultTransport).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", response.StatusCode)
	}
}

func requireExamples(t *testing.T, where string, content openapi3.Content) {
	t.Helper()
	for mediaType, shown := range content {
		if mediaType != "*/*" && shown.Example == nil && len(shown.Examples) == 0 {
			t.Errorf("%s: no example of %s", where, mediaType)
		}
	}
}

// An example that its schema refuses keeps the server from starting, so that none can be wrong.
func TestWrongExampleIsRefused(t *testing.T) {
	for old, wrong := range map[string]string{
		"example: {username: admin}": "example: {username: 5}",
		"split_time: 3600":           "split_time: soon",
		"code: too_large}":           "code: 413}",
	} {
		if !bytes.Contains(contract, []byte(old)) {
			t.Fatalf("the contract does not hold %q", old)
		}
		document := bytes.ReplaceAll(contract, []byte(old), []byte(wrong))
		if _, _, err := loadContract(document); err == nil || !strings.Contains(err.Error(), "example") {
			t.Errorf("with %q: %v", wrong, err)
		}
	}
}
