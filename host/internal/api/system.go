package api

import (
	"context"
	"net/http"
)

// ListPlugins answers how the plugins are.
func (s *Server) ListPlugins(_ context.Context, _ ListPluginsRequestObject) (ListPluginsResponseObject, error) {
	return ListPlugins200JSONResponse(s.pluginList()), nil
}

// ReloadPlugins reads plugins.hcl again.
func (s *Server) ReloadPlugins(ctx context.Context, _ ReloadPluginsRequestObject) (ReloadPluginsResponseObject, error) {
	if err := s.plugins.Reload(ctx); err != nil {
		return nil, &problem{status: http.StatusUnprocessableEntity, code: codePlugins, message: "nothing was changed: " + err.Error()}
	}
	s.wrote(ctx, "plugins.hcl read again")
	s.rooms.ConfigurationChanged()
	s.uploads.ConfigurationChanged()
	return ReloadPlugins200JSONResponse(s.pluginList()), nil
}

func (s *Server) pluginList() []Plugin {
	plugins := []Plugin{}
	for _, p := range s.plugins.Status() {
		plugins = append(plugins, Plugin{
			Name: p.Name, Kind: p.Kind, Version: p.Version, State: PluginState(p.State), Error: p.Error,
			Match: append([]string{}, p.Match...), Lines: append([]string{}, p.Lines...),
			Processes: int32(p.Processes), Restarts: int32(p.Restarts),
		})
	}
	return plugins
}
