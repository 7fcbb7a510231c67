// Package plugins knows which plugins are installed and which of them run: it launches their processes, watches them,
// restarts them with back-off, swaps them on a reload, takes recorders over that outlived the last host, and brings
// their log lines into ours.
//
// Callers never see a process. They hold a lease on one running instance, make their calls, and release it:
//
//	lease, err := manager.Extractor(ctx, url)
//	if err != nil {
//		return err // ErrNoExtractor, or a *DownError that says when the next attempt is
//	}
//	defer lease.Release()
//	status, err := lease.Resolve(ctx, extractor.Ref{URL: url})
//
// Extractors and lines are attached: they die with their host. Recorders are detached: they do not. A re-attach record
// (one JSON file per recorder process) lets the next host find them.
package plugins
