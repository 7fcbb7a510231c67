package api

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/config"
)

// GetConfiguration answers all settings.
func (s *Server) GetConfiguration(ctx context.Context, _ GetConfigurationRequestObject) (GetConfigurationResponseObject, error) {
	stored, err := s.db.GetConfiguration(ctx)
	if err != nil {
		return nil, err
	}
	configuration, err := config.Layered(stored)
	if err != nil {
		return nil, err
	}
	return GetConfiguration200JSONResponse{ConfigurationJSONResponse(configuration)}, nil
}

// UpdateConfiguration changes the settings that the body names.
func (s *Server) UpdateConfiguration(ctx context.Context, request UpdateConfigurationRequestObject) (UpdateConfigurationResponseObject, error) {
	before, err := s.db.GetConfiguration(ctx)
	if err != nil {
		return nil, err
	}
	// Plugins are asked before the row is locked: they may have to be started first.
	changes, err := s.settings(ctx, *request.Body, before)
	if err != nil {
		return nil, err
	}
	var configuration config.Configuration
	err = s.db.InTx(ctx, func(_ pgx.Tx, q *db.Queries) error {
		if _, err := q.LockConfiguration(ctx); err != nil {
			return err
		}
		stored, err := q.MergeConfiguration(ctx, changes)
		if err != nil {
			return err
		}
		configuration, err = config.Layered(stored)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.rooms.ConfigurationChanged()
	s.uploads.ConfigurationChanged()
	return UpdateConfiguration200JSONResponse{ConfigurationJSONResponse(configuration)}, nil
}

// settings checks an object of configuration keys and returns it in the form that is kept. A line that is set already
// is not checked again: its plugin may be away at the moment.
func (s *Server) settings(ctx context.Context, raw json.RawMessage, before []byte) ([]byte, error) {
	merged, err := config.DefaultConfiguration().Merge(raw)
	if err != nil {
		var key *config.KeyError
		if errors.As(err, &key) {
			return nil, invalid(key.Key, "%s", key.Problem)
		}
		return nil, invalid("", "%v", err)
	}
	var named map[string]json.RawMessage
	if err := json.Unmarshal(raw, &named); err != nil {
		return nil, explainDecode(err)
	}
	if _, ok := named["lines"]; ok {
		if err := s.lineExists(ctx, merged.Lines, before); err != nil {
			return nil, err
		}
	}
	return json.Marshal(named)
}

func (s *Server) lineExists(ctx context.Context, line string, before []byte) error {
	var current struct{ Lines string }
	if len(before) > 0 && json.Unmarshal(before, &current) == nil && current.Lines == line {
		return nil
	}
	if line == config.LineAuto {
		return nil
	}
	names, err := s.plugins.LineNames(ctx)
	if err != nil {
		return unavailable(err, "lines: the plugins could not be asked for the lines that there are; try again, or see /api/v1/plugins")
	}
	if slices.Contains(names, line) {
		return nil
	}
	return invalid("lines", "there is no upload line %q; there are %s", line, strings.Join(append([]string{config.LineAuto}, names...), ", "))
}
