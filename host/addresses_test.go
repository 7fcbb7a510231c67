package host_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/lubod/lubod/host/internal/hosttest"
	"github.com/lubod/lubod/sdk/simulator/live"
)

// Rooms whose addresses lead to the machine's own metadata, by themselves or by a redirect, say so and ask nobody; what another
// server answers that is no stream stays with the recorder. The room beside them is recorded.
func TestAddressesThatNoSourceIsAt(t *testing.T) {
	t.Parallel()
	const secret = "s3cret-of-a-neighbour"
	server := func(handler http.HandlerFunc) string {
		s := httptest.NewServer(handler)
		t.Cleanup(s.Close)
		return s.URL + "/live.flv"
	}
	redirect := server(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://[::ffff:169.254.169.254]/latest/meta-data/"+secret, http.StatusFound)
	})
	neighbour := server(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, secret) })
	daemon := hosttest.New(t, hosttest.Options{})
	prepare(t, daemon)
	good := live.New(t, live.Options{Clip: loadClip(t), Speed: 1, Loop: true, Clients: -1, GOPCache: 1})
	wanted := map[string]string{
		"http://169.254.169.254/live.flv": "net.address", "http://[fd00:ec2::254]/live.flv": "net.address", redirect: "net.address", neighbour: "net.not_media",
	}
	for url := range wanted {
		daemon.Client.Do(http.MethodPost, "/streamers", map[string]any{"url": url, "remark": "bad"}, http.StatusOK, nil)
	}
	daemon.Client.Do(http.MethodPost, "/streamers", map[string]any{"url": good.URL(), "remark": "good"}, http.StatusOK, nil)
	daemon.Log().Wait(1, "segment opened")
	var rooms []struct {
		Status string `json:"status"`
		Code   string `json:"reason_code"`
		Inner  struct {
			URL string `json:"url"`
		} `json:"inner"`
	}
	hosttest.Until(t, "a reason for each room", func() bool {
		daemon.Client.Do(http.MethodGet, "/streamers", nil, http.StatusOK, &rooms)
		for _, room := range rooms {
			if want, bad := wanted[room.Inner.URL]; bad && room.Code != want {
				return false
			}
		}
		return len(rooms) == len(wanted)+1
	}, func() string { return fmt.Sprintf("%+v", rooms) + daemon.Log().Tail() })
	for _, room := range rooms {
		if room.Inner.URL == good.URL() && room.Status != "Working" {
			t.Errorf("the room beside them is %+v", room)
		}
	}
	if daemon.Log().Count(secret) > 0 {
		t.Error("the log holds what a server answered")
	}
}
