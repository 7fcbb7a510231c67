package main

import (
	"net/url"
	"strings"
)

// uposLine is all that tells one line from another: the protocol is the same for each.
type uposLine struct {
	name string
	// query goes in front of the other preupload parameters.
	query string
	// probeURL has no scheme.
	probeURL string
}

// host is where the line's storage front lives, as far as is known before asking.
func (l uposLine) host() string {
	return strings.TrimSuffix(strings.TrimPrefix(l.probeURL, "//"), "/OK")
}

// fallbackLine is used when nothing can be measured; it is reachable from most places and biliup's default as well.
const fallbackLine = "bldsa"

// frontZone is the only zone of these lines. Other zones reuse their names for other hosts.
const frontZone = "cs"

// uposLines are the lines known to speak the upos protocol. Sources: biliup (crates/biliup/src/uploader/line.rs) and
// live answers to preupload?r=probe.
var uposLines = []uposLine{
	csLine("bldsa", "upos-cs-upcdnbldsa.bilivideo.com"), // Bilibili's own
	csLine("cnbldsa", "upos-cs-upcdnbldsa.bilivideo.cn"),
	csLine("andsa", "c3350892csdsa.anitama.cn"),
	csLine("atdsa", "c3350892csdsa.anitama.net"),
	csLine("bda2", "upos-cs-upcdnbda2.bilivideo.com"), // Baidu
	csLine("cnbd", "upos-cs-upcdnbd.bilivideo.cn"),
	csLine("anbd", "c3350892csbd.anitama.cn"),
	csLine("atbd", "c3350892csbd.anitama.net"),
	csLine("akbd", "bb27c891csbd.aikobo.cn"),
	csLine("tx", "upos-cs-upcdntx.bilivideo.com"), // Tencent
	csLine("cntx", "upos-cs-upcdntx.bilivideo.com"),
	csLine("antx", "c3350892cstx.anitama.cn"),
	csLine("attx", "c3350892cstx.anitama.net"),
	csLine("estx", "e17962d5cstx.esheep.com"),
	csLine("bda", "upos-cs-upcdnbda.bilivideo.com"), // abroad
	csLine("txa", "upos-cs-upcdntxa.bilivideo.com"),
	csLine("alia", "upos-cs-upcdnalia.bilivideo.com"),
	csLine("ws", "upos-cs-upcdnws.bilivideo.com"), // old: the server may name another endpoint
	csLine("qn", "upos-cs-upcdnqn.bilivideo.com"),
	csLine("qnhk", "upos-cs-upcdnqn.bilivideo.com"),
}

func csLine(name, host string) uposLine {
	return uposLine{
		name:     name,
		query:    "zone=" + frontZone + "&upcdn=" + name + "&probe_version=20221109",
		probeURL: "//" + host + "/OK",
	}
}

func lineNames() []string {
	names := make([]string, 0, len(uposLines))
	for _, l := range uposLines {
		names = append(names, l.name)
	}
	return names
}

func lineNamed(name string) (uposLine, bool) {
	for _, l := range uposLines {
		if l.name == name {
			return l, true
		}
	}
	return uposLine{}, false
}

// lineOfQuery finds the line that an entry of the server's probe list is about.
func lineOfQuery(query string) (uposLine, bool) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return uposLine{}, false
	}
	if zone := values.Get("zone"); zone != "" && zone != frontZone {
		return uposLine{}, false
	}
	return lineNamed(values.Get("upcdn"))
}
