package api

import (
	"context"
	"net/http"

	"github.com/lubod/lubod/host/internal/reason"
)

// ListPlugins answers how the plugins are.
func (s *Server) ListPlugins(ctx context.Context, _ ListPluginsRequestObject) (ListPluginsResponseObject, error) {
	return ListPlugins200JSONResponse(s.pluginList(ctx)), nil
}

// ReloadPlugins reads plugins.hcl again.
func (s *Server) ReloadPlugins(ctx context.Context, _ ReloadPluginsRequestObject) (ReloadPluginsResponseObject, error) {
	if err := s.plugins.Reload(ctx); err != nil {
		return nil, &problem{status: http.StatusUnprocessableEntity, code: codePlugins, why: reason.New(reason.APIPluginsRefused, "cause", err.Error())}
	}
	s.wrote(ctx, "plugins.hcl read again")
	s.rooms.ConfigurationChanged()
	s.uploads.ConfigurationChanged()
	return ReloadPlugins200JSONResponse(s.pluginList(ctx)), nil
}

func (s *Server) pluginList(ctx context.Context) []Plugin {
	plugins := []Plugin{}
	for _, p := range s.plugins.Status() {
		why := tell(languageOf(ctx), pluginReason(p))
		plugins = append(plugins, Plugin{
			Name: p.Name, Kind: p.Kind, Version: p.Version, State: PluginState(p.State),
			Error: why.text, ReasonCode: why.code, ReasonArgs: why.args, Action: why.action,
			Match: append([]string{}, p.Match...), Lines: append([]string{}, p.Lines...),
			Processes: int32(p.Processes), Restarts: int32(p.Restarts),
		})
	}
	return plugins
}

// pluginReason is why a plugin does not work.
func pluginReason(p PluginStatus) reason.Reason {
	if p.Error == "" {
		return reason.Reason{}
	}
	code := reason.PluginUnwell
	switch p.State {
	case "failed":
		code = reason.PluginFailed
	case "backoff":
		code = reason.PluginRestarts
	}
	return reason.New(code, "plugin", p.Name, "cause", p.Error)
}
