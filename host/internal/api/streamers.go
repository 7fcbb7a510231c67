package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/reason"
)

const (
	// maxURLBytes keeps a URL below what PostgreSQL takes into an index.
	maxURLBytes = 2000
)

// ListStreamers answers all streamers and what they do.
func (s *Server) ListStreamers(ctx context.Context, _ ListStreamersRequestObject) (ListStreamersResponseObject, error) {
	rows, err := s.db.StreamerStates(ctx, nil)
	if err != nil {
		return nil, err
	}
	states := make([]StreamerState, 0, len(rows))
	shown, err := s.roomView(ctx)
	if err != nil {
		return nil, err
	}
	doubts := s.doubts(ctx)
	for _, row := range rows {
		states = append(states, streamerState(row, shown, doubts))
	}
	return ListStreamers200JSONResponse(states), nil
}

// CreateStreamer begins to watch a room.
func (s *Server) CreateStreamer(ctx context.Context, request CreateStreamerRequestObject) (CreateStreamerResponseObject, error) {
	body := request.Body
	roomURL, err := s.roomURL(ctx, body.URL)
	if err != nil {
		return nil, err
	}
	override, err := s.override(ctx, valueOr(body.Override, nil), nil)
	if err != nil {
		return nil, err
	}
	var wanted db.Streamer
	wanted.TemplateName = templateName(valueOr(body.TemplateName, ""))
	options := draftOptions(body)
	if err := s.checkOptions(&options, wanted); err != nil {
		return nil, err
	}
	options.apply(&wanted)
	if err := checkPublish(wanted.TemplateName, wanted.Publish); err != nil {
		return nil, err
	}
	platform, room := s.plugins.RoomOf(roomURL)
	if err := s.elsewhere(ctx, roomURL, platform, room, 0); err != nil {
		return nil, err
	}
	row, err := s.db.InsertStreamer(ctx, db.InsertStreamerParams{
		Platform: platform, RoomKey: room,
		URL: roomURL, TemplateName: wanted.TemplateName, Publish: wanted.Publish, Remark: valueOr(body.Remark, ""),
		SplitTime: given(body.SplitTime), SplitSize: given(body.SplitSize), Override: override,
		FilenamePrefix: wanted.FilenamePrefix, Format: wanted.Format, TimeRange: wanted.TimeRange, ExcludedKeywords: wanted.ExcludedKeywords,
		Preprocessor: wanted.Preprocessor, SegmentProcessor: wanted.SegmentProcessor,
		DownloadedProcessor: wanted.DownloadedProcessor, Postprocessor: wanted.Postprocessor,
	})
	if violates(err, "streamers_url_key") {
		return s.createdAlready(ctx, body, roomURL)
	}
	if err != nil {
		return nil, err
	}
	s.wrote(ctx, "streamer created", "streamer", row.ID, "url", withoutQuery(row.URL))
	s.rooms.Changed(row.ID)
	shown, err := s.roomView(ctx)
	if err != nil {
		return nil, err
	}
	return CreateStreamer200JSONResponse{StreamerJSONResponse(shown.streamer(row))}, nil
}

// elsewhere refuses a room that another streamer watches under another spelling of its URL: it would be recorded and published
// twice.
func (s *Server) elsewhere(ctx context.Context, roomURL, platform, room string, besides int64) error {
	other, err := s.db.StreamerOfRoom(ctx, db.StreamerOfRoomParams{Besides: besides, Platform: platform, Room: room})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return err
	case other.URL == roomURL: // no other spelling
		return nil
	}
	return conflict("url", reason.New(reason.APIStreamerSameRoom, "id", strconv.FormatInt(other.ID, 10), "url", withoutQuery(other.URL)))
}

// createdAlready answers a request that was sent again, as scripts do at each start: the streamer is as it says, so there is
// nothing to do. One that wants something else is refused, since it may not know what it would change.
func (s *Server) createdAlready(ctx context.Context, body *StreamerDraft, roomURL string) (CreateStreamerResponseObject, error) {
	row, err := s.db.StreamerByURL(ctx, roomURL)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, conflict("url", reason.New(reason.APIStreamerGone))
	}
	if err != nil {
		return nil, err
	}
	if words, err := body.ExcludedKeywords.Get(); err == nil {
		body.ExcludedKeywords.Set(trimmedKeywords(words))
	}
	wanted, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	shown, err := s.roomView(ctx)
	if err != nil {
		return nil, err
	}
	unmasked := shown.streamer(row)
	unmasked.Override = rawOr(row.Override, "{}")
	existing, err := json.Marshal(unmasked)
	if err != nil {
		return nil, err
	}
	if field := differs(wanted, existing); field != "" {
		return nil, conflict("url", reason.New(reason.APIStreamerDiffers, "id", strconv.FormatInt(row.ID, 10), "field", field))
	}
	return CreateStreamer200JSONResponse{StreamerJSONResponse(shown.streamer(row))}, nil
}

// differs names the first field of an object that the other one has another value for. A null leaves the choice open.
func differs(wanted, existing []byte) string {
	var left, right map[string]any
	if json.Unmarshal(wanted, &left) != nil || json.Unmarshal(existing, &right) != nil {
		return "shape"
	}
	for _, field := range slices.Sorted(maps.Keys(left)) {
		if field != "url" && left[field] != nil && !reflect.DeepEqual(left[field], right[field]) {
			return field
		}
	}
	return ""
}

// UpdateStreamer changes what the body names.
func (s *Server) UpdateStreamer(ctx context.Context, request UpdateStreamerRequestObject) (UpdateStreamerResponseObject, error) {
	body := request.Body
	var before, after db.Streamer
	// Plugins are asked before the row is locked: they may have to be started first.
	change, err := s.plannedChange(ctx, body)
	if err != nil {
		return nil, err
	}
	err = s.db.InTx(ctx, func(_ pgx.Tx, q *db.Queries) error {
		var err error
		if before, err = q.LockStreamer(ctx, body.ID); err != nil {
			return err
		}
		params := change.apply(before)
		if err := checkPublish(params.TemplateName, params.Publish); err != nil {
			return err
		}
		after, err = q.UpdateStreamer(ctx, params)
		return err
	})
	if violates(err, "streamers_url_key") {
		return nil, conflict("url", reason.New(reason.APIStreamerExists))
	}
	if err != nil {
		return nil, orNotFound(err, "streamer", body.ID)
	}
	if fields := changedFields(change.view.streamer(before), change.view.streamer(after)); len(fields) > 0 {
		s.wrote(ctx, "streamer changed", "streamer", after.ID, "fields", fields)
	} else if !bytes.Equal(before.Override, after.Override) {
		s.wrote(ctx, "streamer changed", "streamer", after.ID, "fields", []string{"override"}) // a secret
	}
	if before.URL != after.URL {
		s.stop(ctx, after.ID, "the URL was changed")
	}
	s.rooms.Changed(after.ID)
	if text(before.TemplateName) != text(after.TemplateName) || !bytes.Equal(before.Override, after.Override) {
		s.uploads.PublishingChanged()
	}
	return UpdateStreamer200JSONResponse{StreamerJSONResponse(change.view.streamer(after))}, nil
}

// streamerChange is a checked body of PUT /streamers.
type streamerChange struct {
	platform, room string // of url
	body           *StreamerChange
	view           *roomView
	url            *string
	override       []byte
	options        streamerOptions
}

func (s *Server) plannedChange(ctx context.Context, body *StreamerChange) (streamerChange, error) {
	change := streamerChange{body: body}
	current, err := s.db.GetStreamer(ctx, body.ID)
	if err != nil {
		return change, orNotFound(err, "streamer", body.ID)
	}
	if change.view, err = s.roomView(ctx); err != nil {
		return change, err
	}
	// A URL that stays the same stays accepted, even while its plugin is away.
	if body.URL != nil && *body.URL != current.URL {
		roomURL, err := s.roomURL(ctx, *body.URL)
		if err != nil {
			return change, err
		}
		change.url = &roomURL
		change.platform, change.room = s.plugins.RoomOf(roomURL)
		if err := s.elsewhere(ctx, roomURL, change.platform, change.room, body.ID); err != nil {
			return change, err
		}
	}
	change.options = changeOptions(body)
	if err := s.checkOptions(&change.options, current); err != nil {
		return change, err
	}
	if body.Override.IsSpecified() {
		if change.override, err = s.override(ctx, valueOr(body.Override, nil), current.Override); err != nil {
			return change, err
		}
	}
	return change, nil
}

func (c streamerChange) apply(row db.Streamer) db.UpdateStreamerParams {
	c.options.apply(&row)
	params := db.UpdateStreamerParams{
		ID: row.ID, URL: row.URL, Override: row.Override,
		TemplateName: templateName(kept(c.body.TemplateName, text(row.TemplateName), "")),
		Remark:       kept(c.body.Remark, row.Remark, ""),
		SplitTime:    ownLimit(c.body.SplitTime, row.SplitTime, c.view.streamer(row).SplitTime),
		SplitSize:    ownLimit(c.body.SplitSize, row.SplitSize, c.view.streamer(row).SplitSize),

		FilenamePrefix: row.FilenamePrefix, Format: row.Format, TimeRange: row.TimeRange, ExcludedKeywords: row.ExcludedKeywords,
		Preprocessor: row.Preprocessor, SegmentProcessor: row.SegmentProcessor,
		DownloadedProcessor: row.DownloadedProcessor, Postprocessor: row.Postprocessor, Publish: row.Publish,
		Platform: row.Platform, RoomKey: row.RoomKey,
	}
	if c.url != nil {
		params.URL, params.Platform, params.RoomKey = *c.url, c.platform, c.room
	}
	if c.override != nil {
		params.Override = c.override
	}
	return params
}

// DeleteStreamer ends what is recorded of a room and forgets it; recordings stay.
func (s *Server) DeleteStreamer(ctx context.Context, request DeleteStreamerRequestObject) (DeleteStreamerResponseObject, error) {
	// Paused first: nothing must start a recording between the stop and the removal of the row.
	if _, err := s.db.SetStreamerPaused(ctx, db.SetStreamerPausedParams{ID: request.ID, Paused: true}); err != nil {
		return nil, orNotFound(err, "streamer", request.ID)
	}
	if err := s.rooms.StopRecording(ctx, request.ID, "the streamer was deleted"); err != nil {
		s.wrote(ctx, "streamer paused", "streamer", request.ID)
		s.rooms.Changed(request.ID)
		return nil, unavailable(err, reason.New(reason.APIStreamerStillRecords))
	}
	row, err := s.db.DeleteStreamer(ctx, request.ID)
	if err != nil {
		return nil, orNotFound(err, "streamer", request.ID)
	}
	s.wrote(ctx, "streamer deleted", "streamer", row.ID, "url", withoutQuery(row.URL))
	s.rooms.Changed(row.ID)
	shown, err := s.roomView(ctx)
	if err != nil {
		return nil, err
	}
	return DeleteStreamer200JSONResponse{StreamerJSONResponse(shown.streamer(row))}, nil
}

// PauseStreamer resumes a paused streamer and pauses any other.
func (s *Server) PauseStreamer(ctx context.Context, request PauseStreamerRequestObject) (PauseStreamerResponseObject, error) {
	var paused bool
	err := s.db.InTx(ctx, func(_ pgx.Tx, q *db.Queries) error {
		row, err := q.LockStreamer(ctx, request.ID)
		if err != nil {
			return err
		}
		paused = !row.Paused
		_, err = q.SetStreamerPaused(ctx, db.SetStreamerPausedParams{ID: request.ID, Paused: paused})
		return err
	})
	if err != nil {
		return nil, orNotFound(err, "streamer", request.ID)
	}
	if paused {
		s.wrote(ctx, "streamer paused", "streamer", request.ID)
	} else {
		s.wrote(ctx, "streamer resumed", "streamer", request.ID)
	}
	if paused {
		s.stop(ctx, request.ID, "the streamer was paused")
	}
	s.rooms.Changed(request.ID)
	rows, err := s.db.StreamerStates(ctx, &request.ID)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, notFound("streamer", request.ID)
	}
	shown, err := s.roomView(ctx)
	if err != nil {
		return nil, err
	}
	return PauseStreamer200JSONResponse(streamerState(rows[0], shown, s.doubts(ctx))), nil
}

// stop ends a recording after the row was changed. The change stands whether that works or not, and an error answer
// would make a client repeat what is done: the row says what is wanted, and Changed makes the room look at it again.
func (s *Server) stop(ctx context.Context, id int64, reason string) {
	if err := s.rooms.StopRecording(ctx, id, reason); err != nil {
		s.log.Warn("a recording could not be ended at once", "streamer", id, "reason", reason, "error", err)
	}
}

// roomURL checks a URL and returns the form that is kept.
func (s *Server) roomURL(ctx context.Context, raw string) (string, error) {
	trimmed := strings.TrimSpace(raw)
	if !strings.Contains(trimmed, "://") {
		trimmed = "https://" + trimmed // as people copy it from an address bar
	}
	parsed, err := url.Parse(trimmed)
	switch {
	case err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https"):
		return "", invalid("url", reason.New(reason.APIURLIncomplete))
	case parsed.User != nil:
		return "", invalid("url", reason.New(reason.APIURLPassword))
	case len(trimmed) > maxURLBytes:
		return "", invalid("url", reason.New(reason.APIShorterBytes, "max", strconv.Itoa(maxURLBytes)))
	}
	if err := s.plugins.AcceptsURL(ctx, trimmed); err != nil {
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			return "", unavailable(err, reason.New(reason.APIPluginsSilent))
		}
		return "", invalid("url", reason.New(reason.APIURLNotTaken, "cause", err.Error()))
	}
	return trimmed, nil
}

// override checks settings of one room and returns the form that is kept: keys that are null are left out.
func (s *Server) override(ctx context.Context, raw json.RawMessage, before []byte) ([]byte, error) {
	if len(raw) == 0 {
		return []byte("{}"), nil
	}
	if err := s.waitPlugins(ctx); err != nil {
		return nil, err
	}
	checked, err := s.settings(raw, before, s.plugins.Options())
	if err != nil {
		var p *problem
		if errors.As(err, &p) && p.status == 400 {
			return nil, p.within("override")
		}
		return nil, err
	}
	return checked.set, nil
}

// streamerState says what a streamer does, and why not.
func streamerState(row db.StreamerStatesRow, shown *roomView, doubts doubts) StreamerState {
	state := StreamerState{Status: RecordStatusIdle, UploadStatus: UploadStatusIdle, Inner: shown.streamer(row.Streamer)}
	switch {
	case row.Streamer.Paused:
		state.Status = RecordStatusPause
	case row.Recording:
		state.Status = RecordStatusWorking
	}
	if row.Uploading {
		state.UploadStatus = UploadStatusWorking
	}
	why := streamerReason(doubts.in, row)
	if !row.Streamer.Paused {
		if since, doubt := doubts.about(row.Recorder); since != nil {
			state.StateKnownAt, why = since, doubt
		}
	}
	shownReason := tell(doubts.in, why)
	state.Reason, state.ReasonCode, state.ReasonArgs, state.Action = shownReason.textOrNil(), shownReason.code, shownReason.args, shownReason.action
	return state
}

// streamerReason picks what a person should look at first: no recording, then nothing published.
func streamerReason(in reason.Language, row db.StreamerStatesRow) reason.Reason {
	switch {
	case row.Streamer.LastError != "" && !row.Streamer.Paused:
		return because(row.Streamer.Reason, row.Streamer.LastError)
	case row.FilesReason != nil:
		return reason.Parse(row.FilesReason)
	case row.TemplateMissing:
		return reason.New(reason.RoomNoTemplate, "template", text(row.Streamer.TemplateName))
	case row.HeldHook != 0:
		return reason.New(reason.HookHeld, "id", strconv.FormatInt(row.HeldHook, 10), "cause", because(row.HookReason, row.HookError).Text(in))
	case row.SubmissionError != "":
		return because(row.SubmissionReason, row.SubmissionError)
	case row.Rejected != "":
		return rejectedReason(row.Rejected, row.RejectedText)
	}
	return because(row.UploadReason, row.UploadError)
}

// rejectedReason is about an archive that was accepted and refused later.
func rejectedReason(bvid, words string) reason.Reason {
	return reason.New(reason.SubmissionArchive, "bvid", bvid, "words", words)
}

// streamer is a row as it may be shown.
func (v *roomView) streamer(row db.Streamer) Streamer {
	shown := v.of(row.Override)
	answer := Streamer{
		ID: row.ID, URL: row.URL, TemplateName: orNull(row.TemplateName), Remark: row.Remark,
		SplitTime: int64(shown.limits.SplitTime(row.SplitTime) / time.Second), SplitSize: mebibytes(shown.limits.SplitSize(row.SplitSize)), Override: shown.masked,
		FilenamePrefix: orNull(row.FilenamePrefix), Format: orNull((*Format)(row.Format)), ExcludedKeywords: row.ExcludedKeywords,
		Preprocessor: rawOr(row.Preprocessor, "[]"), SegmentProcessor: rawOr(row.SegmentProcessor, "[]"),
		DownloadedProcessor: rawOr(row.DownloadedProcessor, "[]"), Postprocessor: rawOr(row.Postprocessor, "[]"),
		Publish: orNull((*Publish)(row.Publish)),
	}
	answer.TimeRange.SetNull()
	if len(row.TimeRange) > 0 {
		answer.TimeRange.Set(row.TimeRange)
	}
	return answer
}

// checkPublish refuses a room that is published and never published: its files would be removed or kept by chance.
func checkPublish(template, publish *string) error {
	if template != nil && publish != nil {
		return invalid("publish", reason.New(reason.APINeverAndTemplate, "publish", *publish, "template", quoted(*template)))
	}
	return nil
}

// templateName is how "publish nothing" is kept.
func templateName(name string) *string {
	if strings.TrimSpace(name) == "" {
		return nil
	}
	return &name
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
