package hosttest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"testing"
	"time"
)

// Client calls the API of a daemon with a session of its own.
type Client struct {
	t    testing.TB
	base string
	http *http.Client
}

func newClient(t testing.TB) *Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	// No kept connections: the daemon comes and goes.
	client := &http.Client{Jar: jar, Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return &Client{t: t, http: client}
}

// Base is the address of the daemon, http://host:port.
func (c *Client) Base() string { return c.base }

// HTTP is the client with the session, for what Do and Raw cannot ask.
func (c *Client) HTTP() *http.Client { return c.http }

// Register creates the first user and logs in.
func (c *Client) Register() {
	c.t.Helper()
	login := map[string]string{"username": "admin", "password": "password123"}
	c.Do(http.MethodPost, "/users/register", login, http.StatusOK, nil)
	c.Do(http.MethodPost, "/users/login", login, http.StatusOK, nil)
}

// Do calls an endpoint below /api/v1, wants the status, and decodes the answer into out unless that is nil.
func (c *Client) Do(method, path string, body any, want int, out any) {
	c.t.Helper()
	status, answer := c.Raw(method, path, body)
	if status != want {
		c.t.Fatalf("%s %s: status %d, want %d: %s", method, path, status, want, answer)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(answer, out); err != nil {
		c.t.Fatalf("%s %s: %v: %s", method, path, err, answer)
	}
}

// Raw calls an endpoint and returns what came. A string or []byte body is sent as it is, nil means none.
func (c *Client) Raw(method, path string, body any) (int, []byte) {
	c.t.Helper()
	var content io.Reader = http.NoBody
	switch body := body.(type) {
	case nil:
	case string:
		content = bytes.NewBufferString(body)
	default:
		encoded, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.base+"/api/v1"+path, content)
	if err != nil {
		c.t.Fatal(err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return response.StatusCode, answer
}
