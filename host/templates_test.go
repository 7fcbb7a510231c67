package host_test

import (
	"net/http"
	"testing"

	"github.com/lubod/lubod/host/internal/hosttest"
)

// The example of the API's document creates a template that names no account: cookies.json publishes then, as in biliup.
func TestATemplateWithoutAnAccountPublishesWithCookiesJSON(t *testing.T) {
	t.Parallel()
	daemon := hosttest.New(t, hosttest.Options{})
	daemon.Start()
	daemon.Client.Register()
	daemon.Client.Do(http.MethodPut, "/configuration", map[string]any{"delay": 1, "event_loop_interval": 1, "filtering_threshold": 0}, http.StatusOK, nil)
	daemon.Client.Do(http.MethodPost, "/upload_streamers", map[string]any{
		"id": nil, "template_name": "新模板", "title": "{{title}}", "tid": 171, "tag": "游戏,直播",
	}, http.StatusOK, nil)
	live := hosttest.ServeLive(t, hosttest.EncodeClip(t, 12))
	daemon.Client.Do(http.MethodPost, "/streamers", map[string]any{"url": live.URL, "template_name": "新模板"}, http.StatusOK, nil)
	live.Wait(t)
	archives, err := daemon.Sim.WaitArchives(t.Context(), 1)
	if err != nil {
		t.Fatalf("no archive: %v: %s", err, daemon.Log().Tail())
	}
	if archives[0].MID != daemon.Account.MID {
		t.Errorf("published by %d, want %d", archives[0].MID, daemon.Account.MID)
	}
	daemon.Sim.RequireNoViolations(t)
	daemon.Stop()
}

// What Bilibili would refuse is said before anything is uploaded, and the uploads go on by themselves when it is mended.
func TestATemplateThatBilibiliWouldRefuseIsToldBeforeTheUpload(t *testing.T) {
	t.Parallel()
	daemon := hosttest.New(t, hosttest.Options{})
	prepare(t, daemon)
	daemon.Client.Do(http.MethodPost, "/upload_streamers", `{"id":1,"tag":null}`, http.StatusOK, nil)
	live := hosttest.ServeLive(t, hosttest.EncodeClip(t, 12))
	addStreamer(daemon, live.URL, 0)
	live.Wait(t)
	untilReason(t, daemon, `template "默认模板": tag: is missing`)
	if objects := daemon.Sim.Objects(); len(objects) != 0 {
		t.Errorf("uploaded %v", objects)
	}
	daemon.Client.Do(http.MethodPost, "/upload_streamers", `{"id":1,"tag":"游戏"}`, http.StatusOK, nil)
	if _, err := daemon.Sim.WaitArchives(t.Context(), 1); err != nil {
		t.Fatalf("no archive: %v: %s", err, daemon.Log().Tail())
	}
	daemon.Stop()
}
