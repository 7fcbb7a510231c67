package bilibili

import (
	"net/http"
	"slices"
)

// KnownLines are the names of all upload lines that the real service has been seen to accept.
func KnownLines() []string {
	return []string{
		"bldsa", "cnbldsa", "andsa", "atdsa", "bda2", "cnbd", "anbd", "atbd", "akbd", "tx", "cntx", "antx", "attx", "estx",
		"bda", "txa", "alia", "ws", "qn", "qnhk",
	}
}

// A line is measured with a tenth of a MiB. That is no whole number of bytes, so both neighbours are right.
const (
	probePostMiB = 0.1
	probePostMin = 104857
	probePostMax = 104858
)

// probe answers which lines a client should measure.
func (x *exchange) probe() *answer {
	lines := []map[string]any{}
	for _, name := range x.s.options.ProbeLines {
		lines = append(lines, map[string]any{
			"os":        "upos",
			"query":     "probe_version=20250923&upcdn=" + name + "&zone=cs",
			"probe_url": x.s.probeURL(name),
		})
	}
	return jsonAnswer(http.StatusOK, map[string]any{"OK": 1, "lines": lines, "probe": map[string]any{"post": probePostMiB}})
}

// ping answers the speed test page, or the list of lines it uses.
func (x *exchange) ping() *answer {
	if x.query.Get("file") != "lines.json" {
		return &answer{
			status: http.StatusOK, body: []byte("<!DOCTYPE html><title>speed test</title>\n"),
			header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		}
	}
	lines := []map[string]any{}
	for _, name := range x.s.options.Lines {
		lines = append(lines, map[string]any{
			"bref": name, "query": "os=upos&zone=cs&upcdn=" + name, "url": x.s.probeURL(name),
		})
	}
	return jsonAnswer(http.StatusOK, lines)
}

// probeURL tells lines apart by a parameter where they share a host.
func (s *Server) probeURL(line string) string {
	if s.options.LineHosts {
		return s.endpoint(line) + "/OK"
	}
	return s.endpoint(line) + "/OK?line=" + line
}

// endpoint is a line's storage host the way answers name it: without a scheme.
func (s *Server) endpoint(line string) string { return "//" + s.host(line) }

// lineProbe is what a client measures a line with.
func (x *exchange) lineProbe() *answer {
	line := x.line()
	if line != "" && !slices.Contains(x.s.options.Lines, line) {
		x.check(false, RuleUnknownCall, "there is no line %q", line)
		return text(http.StatusNotFound, "")
	}
	switch x.r.Method {
	case http.MethodGet, http.MethodHead:
		x.check(len(x.body) == 0, RuleProbeBody, "GET /OK has a body of %d bytes", len(x.body))
	case http.MethodPost:
		n := len(x.body)
		x.check(n >= probePostMin && n <= probePostMax, RuleProbeBody,
			"POST /OK has a body of %d bytes, %g MiB (%d bytes) were asked for", n, probePostMiB, probePostMin)
	default:
		x.check(false, RuleUnknownCall, "%s /OK: a line is measured with GET or POST", x.r.Method)
	}
	if x.refused() {
		return text(http.StatusBadRequest, x.explain("bad request"))
	}
	return text(http.StatusOK, "")
}
