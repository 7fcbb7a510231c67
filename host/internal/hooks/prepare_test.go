package hooks

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/sdk/extractor"
)

func (h *harness) row() db.Streamer {
	h.t.Helper()
	row, err := h.db.GetStreamer(h.t.Context(), h.streamer)
	if err != nil {
		h.t.Fatal(err)
	}
	return row
}

var live = extractor.Status{State: extractor.StateLive, Title: "直播", Streamer: "acme", Category: "Game"}

func TestPreparePolicies(t *testing.T) {
	t.Parallel()
	for policy, refused := range map[string]bool{"continue": false, "stop": true, "hold": true} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.hook(Preprocessor, step(map[string]any{"run": "cat > stdin; echo not today; exit 1", "on_error": policy}))
			err := h.service().Prepare(t.Context(), h.row(), live)
			var refusal *RefusedError
			if errors.As(err, &refusal) != refused {
				t.Errorf("error = %v", err)
			}
			if refused && !strings.Contains(err.Error(), "not today") {
				t.Errorf("error = %v", err)
			}
			var payload Payload
			if err := json.Unmarshal([]byte(h.read(filepath.Join(h.root, "stdin"))), &payload); err != nil {
				t.Fatal(err)
			}
			if payload.Event != EventPreprocessor || payload.Recording.ID != nil || payload.Recording.Title != "直播" || payload.Segments == nil || *payload.Room.ID != h.streamer {
				t.Errorf("payload = %+v", payload)
			}
		})
	}
}

func TestPrepareNeverTakesLongerThanItsTimeout(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.hook(Preprocessor, step(map[string]any{"run": "sleep 600", "timeout": 1}), step(map[string]any{"run": "echo next > said"}))
	began := time.Now()
	if err := h.service().Prepare(t.Context(), h.row(), live); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("it took %v", took)
	}
	if h.read(filepath.Join(h.root, "said")) != "next\n" {
		t.Error("the step after it did not run")
	}
}

func TestStreamThatComesBackIsNotPreparedAgain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.hook(Preprocessor, step(map[string]any{"run": "exit 1", "on_error": "stop"}))
	h.recording()
	h.exec("UPDATE recordings SET state = 'waiting', resume_until = now() + interval '1 hour'", nil)
	if err := h.service().Prepare(t.Context(), h.row(), live); err != nil {
		t.Errorf("the rest of a recording was refused: %v", err)
	}
	h.exec("UPDATE recordings SET state = 'ended', resume_until = NULL, ended_at = now()", nil)
	if err := h.service().Prepare(t.Context(), h.row(), live); err == nil {
		t.Error("the next recording was not prepared")
	}
}
