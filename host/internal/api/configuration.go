package api

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/host/internal/settings"
	"github.com/lubod/lubod/sdk"
)

// GetConfiguration answers all settings, those of plugins too.
func (s *Server) GetConfiguration(ctx context.Context, _ GetConfigurationRequestObject) (GetConfigurationResponseObject, error) {
	if err := s.waitPlugins(ctx); err != nil {
		return nil, err
	}
	stored, err := s.db.GetConfiguration(ctx)
	if err != nil {
		return nil, err
	}
	shown, err := shownConfiguration(stored, s.plugins.Options())
	if err != nil {
		return nil, err
	}
	return GetConfiguration200JSONResponse(shown), nil
}

// keyWithoutEffect is no setting: it lists, in the answer, those that are kept and change nothing.
const keyWithoutEffect = "without_effect"

// shownConfiguration is the configuration as it may be shown: every key with what applies, secrets masked.
func shownConfiguration(stored []byte, catalog *settings.Catalog) (Configuration, error) {
	configuration, err := settings.Layered(stored)
	if err != nil {
		return nil, err
	}
	_, options, err := settings.Split(stored)
	if err != nil {
		return nil, err
	}
	shown := catalog.Show(options)
	own, err := json.Marshal(configuration)
	if err != nil {
		return nil, err
	}
	if idle := catalog.WithoutEffect(options); len(idle) > 0 {
		if shown[keyWithoutEffect], err = json.Marshal(idle); err != nil {
			return nil, err
		}
	}
	return shown, json.Unmarshal(own, &shown)
}

// waitPlugins waits until it is known which options there are.
func (s *Server) waitPlugins(ctx context.Context) error {
	if err := s.plugins.WaitLoaded(ctx); err != nil {
		return unavailable(err, reason.New(reason.APIPluginsStarting))
	}
	return nil
}

// UpdateConfiguration changes the settings that the body names.
func (s *Server) UpdateConfiguration(ctx context.Context, request UpdateConfigurationRequestObject) (UpdateConfigurationResponseObject, error) {
	if err := s.waitPlugins(ctx); err != nil {
		return nil, err
	}
	var shown Configuration
	var keys []string
	catalog := s.plugins.Options()
	err := s.db.InTx(ctx, func(_ pgx.Tx, q *db.Queries) error {
		locked, err := q.LockConfiguration(ctx)
		if err != nil {
			return err
		}
		// Against what is stored now: a mask that was sent back stands for that.
		changes, err := s.changes(*request.Body, locked, catalog)
		if err != nil {
			return err
		}
		stored, err := q.MergeConfiguration(ctx, db.MergeConfigurationParams{Changes: changes.set, Removed: changes.remove})
		if err != nil {
			return err
		}
		keys = changes.keys()
		shown, err = shownConfiguration(stored, catalog)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.wrote(ctx, "configuration changed", "keys", keys)
	s.rooms.ConfigurationChanged()
	s.uploads.ConfigurationChanged()
	return UpdateConfiguration200JSONResponse(shown), nil
}

// changes are checked settings: what to store, and which keys to remove.
type changes struct {
	set    []byte
	remove []string
}

// keys names them.
func (c changes) keys() []string {
	var set map[string]json.RawMessage
	if json.Unmarshal(c.set, &set) != nil {
		return c.remove
	}
	return slices.Sorted(slices.Values(slices.AppendSeq(slices.Clone(c.remove), maps.Keys(set))))
}

// changes are those that a body makes to the configuration that is stored.
func (s *Server) changes(raw json.RawMessage, before []byte, catalog *settings.Catalog) (changes, error) {
	_, sent, err := settings.Split(raw)
	if err != nil {
		return changes{}, keyProblem(err)
	}
	_, stored, err := settings.Split(before)
	if err != nil {
		return changes{}, err
	}
	if unset := append(catalog.Unset(sent, stored), keyWithoutEffect); len(sent) > 0 {
		var named map[string]json.RawMessage
		if err := json.Unmarshal(raw, &named); err != nil {
			return changes{}, explainDecode(err)
		}
		for _, key := range unset {
			delete(named, key)
		}
		if raw, err = json.Marshal(named); err != nil {
			return changes{}, err
		}
	}
	return s.settings(raw, before, catalog)
}

// settings checks an object of configuration keys against what is stored.
func (s *Server) settings(raw json.RawMessage, before []byte, catalog *settings.Catalog) (changes, error) {
	own, sent, err := settings.Split(raw)
	if err != nil {
		return changes{}, keyProblem(err)
	}
	if _, err := settings.DefaultConfiguration().Merge(own); err != nil {
		return changes{}, keyProblem(err)
	}
	set := make(map[string]json.RawMessage)
	if len(own) > 0 {
		if err := json.Unmarshal(own, &set); err != nil {
			return changes{}, explainDecode(err)
		}
	}
	_, stored, err := settings.Split(before)
	if err != nil {
		return changes{}, err
	}
	accepted, remove, err := catalog.Accept(sent, stored)
	if err != nil {
		return changes{}, keyProblem(err)
	}
	for key, value := range set {
		if string(value) == "null" && !settings.Unlimited(key) {
			delete(set, key)
			remove = append(remove, key)
		}
	}
	for key, value := range accepted {
		if set[key], err = s.confined(catalog.Format(key), key, value); err != nil {
			return changes{}, err
		}
	}
	encoded, err := json.Marshal(set)
	return changes{encoded, append([]string{}, remove...)}, err
}

// confined keeps a login file inside the data directory, by whatever name it was sent.
func (s *Server) confined(format, key string, value json.RawMessage) (json.RawMessage, error) {
	if format != sdk.FormatLoginFile || string(value) == `""` {
		return value, nil
	}
	var name string
	if err := json.Unmarshal(value, &name); err != nil {
		return nil, explainDecode(err)
	}
	local, err := s.cookieFile(key, name)
	if err != nil {
		return nil, err
	}
	return json.Marshal(local)
}

func keyProblem(err error) error {
	var key *settings.KeyError
	if errors.As(err, &key) {
		return invalid(key.Key, said(err, reason.APIRefused).With("text", key.Problem))
	}
	return invalid("", said(err, reason.APIRefused))
}
