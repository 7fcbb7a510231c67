package api

import (
	"context"

	"github.com/lubod/lubod/host/internal/settings"
)

// GetSettings answers what applies to all rooms, or to one, and where that comes from.
func (s *Server) GetSettings(ctx context.Context, request GetSettingsRequestObject) (GetSettingsResponseObject, error) {
	if err := s.waitPlugins(ctx); err != nil {
		return nil, err
	}
	global, err := s.db.GetConfiguration(ctx)
	if err != nil {
		return nil, err
	}
	var room *settings.Room
	if id := request.Params.Streamer; id != nil {
		row, err := s.db.GetStreamer(ctx, *id)
		if err != nil {
			return nil, orNotFound(err, "streamer", *id)
		}
		room = &settings.Room{Override: row.Override, SplitTime: row.SplitTime, SplitSize: row.SplitSize, FilenamePrefix: row.FilenamePrefix}
	}
	effective, err := s.plugins.Options().Effective(global, room)
	if err != nil {
		return nil, err
	}
	answer := make(GetSettings200JSONResponse, len(effective))
	for key, one := range effective {
		shown := EffectiveSetting{Source: EffectiveSettingSource(one.Source), Works: one.Works}
		if shown.Value.SetNull(); len(one.Value) > 0 {
			shown.Value.Set(one.Value)
		}
		answer[key] = shown
	}
	return answer, nil
}
