// Package line is for plugins that bring a finished file into Bilibili's storage.
//
// An author writes a Line, hands its factory to Serve, and tests it with plugintest.Line. OpenSource reads the file and notices
// when it changes, NewChunks keeps account of what is safe; Prober and sdk.HealthChecker are optional. Client, NewClient and
// Plugin are for hosts and for tests.
package line

import "context"

// Line transfers files over the lines named in sdk.Info.Lines.
//
// Upload blocks until the file is stored or cannot be. It calls report whenever a new checkpoint is worth keeping, at
// least after every acknowledged chunk; an error from report means that the host is gone and the transfer must stop.
// On a retry over the same line the host hands the last checkpoint back in File.Checkpoint; a line that cannot use it
// any more starts over. Upload must refuse to complete a file that changed while it was being sent.
//
// It is also implemented by the host's client, which proxies the call to the plugin process.
type Line interface {
	Upload(ctx context.Context, file File, report func(Progress) error) (Result, error)
}

// Prober is implemented by lines that can measure their lines as seen from here, best first.
type Prober interface {
	Probe(ctx context.Context) ([]ProbeResult, error)
}

// File is one transfer to do.
type File struct {
	// Line is one of the plugin's line names.
	Line string
	// Path is absolute.
	Path string
	// Name under which the file is announced, with its extension.
	Name string
	// Cookies of the account that will own the file.
	Cookies map[string]string
	// Threads is how many chunks may be under way at once, at least 1.
	Threads int
	// Checkpoint is what this line last reported for this file; nil: start over.
	Checkpoint []byte
}

// Progress is what is safe on the other side.
type Progress struct {
	// AcknowledgedBytes can fall when a transfer had to start over.
	AcknowledgedBytes int64
	// Checkpoint replaces the one before. It is opaque to the host and may hold secrets.
	Checkpoint []byte
	// Chunks shows a person which parts of the file are safe; nil: the line does not send it in chunks of one size.
	Chunks *Chunks
}

// Result names the stored file.
type Result struct {
	// RemoteName is what a submission names the file by.
	RemoteName string
	// RemoteID is the storage's number for it, 0 when it has none.
	RemoteID int64
}

// ProbeResult is one measured line.
type ProbeResult struct {
	Line      string
	LatencyMS int64
	// BytesPerSecond is 0 when it was not measured.
	BytesPerSecond int64
}
