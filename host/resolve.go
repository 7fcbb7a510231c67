package host

import (
	"context"
	"log/slog"
	"sync"

	"github.com/lubod/lubod/host/internal/accounts"
	"github.com/lubod/lubod/host/internal/monitor"
	"github.com/lubod/lubod/host/internal/plugins"
	"github.com/lubod/lubod/host/internal/settings"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
)

// roomOptions finds what a plugin takes in the configuration and in a room's override.
type roomOptions struct {
	logger *slog.Logger
	// told are values that the log named already: every question would name them again.
	told sync.Map
}

// of returns what a plugin with this schema gets. A stored value that it does not take, because it is another version
// now, is left out: recording with the plugin's own default is better than not recording.
func (s *roomOptions) of(plugin string, schema []sdk.Option, layers [][]byte) settings.RoomOptions {
	found, err := settings.ForPlugin(schema, layers...)
	if err != nil {
		s.warn(plugin, "", err.Error())
		return settings.RoomOptions{}
	}
	for _, key := range found.Ignored {
		s.warn(plugin, key, "the stored value is not one that the plugin takes; set it again")
	}
	return found
}

func (s *roomOptions) warn(plugin, key, problem string) {
	if _, told := s.told.LoadOrStore(plugin+" "+key, true); !told {
		s.logger.Warn("an option is left out", "plugin", plugin, "option", key, "problem", problem)
	}
}

// extractors answers the monitor's questions by the first extractor that takes the URL.
type extractors struct {
	manager *plugins.Manager
	options *roomOptions
	dataDir string
}

func (e extractors) Resolve(ctx context.Context, purpose extractor.Purpose, url string, layers ...[]byte) (extractor.Status, error) {
	lease, err := e.manager.Extractor(ctx, url)
	if err != nil {
		return extractor.Status{}, err
	}
	defer lease.Release()
	ref, err := e.ref(lease, url, layers...)
	if err != nil {
		return extractor.Status{}, err
	}
	ref.Purpose = purpose
	return lease.Resolve(ctx, ref)
}

func (e extractors) ref(lease *plugins.ExtractorLease, url string, layers ...[]byte) (extractor.Ref, error) {
	options := e.options.of(lease.Plugin, lease.Schema(), layers)
	credentials, err := e.credentials(options.Login)
	return extractor.Ref{URL: url, Options: options.JSON, Credentials: credentials}, err
}

func (e extractors) Platform(url string) (name string, batches bool) {
	return e.manager.ExtractorOf(url)
}

// ResolveBatch leaves out rooms whose login cannot be read: Resolve says what is wrong with it.
func (e extractors) ResolveBatch(ctx context.Context, global []byte, rooms []monitor.Room) ([]extractor.BatchAnswer, error) {
	lease, err := e.manager.Extractor(ctx, rooms[0].URL)
	if err != nil {
		return nil, err
	}
	defer lease.Release()
	var refs []extractor.Ref
	var places []int
	for i, room := range rooms {
		if ref, err := e.ref(lease, room.URL, global, room.Override); err == nil {
			ref.Purpose = extractor.PurposePoll
			refs, places = append(refs, ref), append(places, i)
		}
	}
	told, err := lease.ResolveBatch(ctx, refs)
	if err != nil {
		return nil, err
	}
	answers := make([]extractor.BatchAnswer, len(rooms))
	for i, answer := range told {
		answers[places[i]] = answer
	}
	return answers, nil
}

// credentials reads the login of a room anew for every question: another part of the host, or a person, renews the file.
func (e extractors) credentials(login *settings.Login) (*extractor.Credentials, error) {
	if login == nil {
		return nil, nil
	}
	if login.File == "" {
		return &extractor.Credentials{Cookies: login.Cookies}, nil
	}
	account, err := accounts.Load(e.dataDir, login.File)
	if err != nil {
		return nil, sdk.Errorf(sdk.InvalidOption, "option %s: %w", login.Key, err)
	}
	return &extractor.Credentials{Cookies: account.Cookies}, nil
}
