// Package live is a live HTTP-FLV server for tests, demonstrations and benchmarks of stream clients.
//
// It is fed by a file that ffmpeg encoded, sends it in real time, faster, or as fast as a client reads, and does on
// request what content delivery networks do to their viewers: it resets connections in the middle of a tag, stalls,
// answers with web pages, damages bytes, changes the encoder's parameter sets, lets the clock jump. Faults happen at
// counted tags, never at random or by time, so that a test that fails once fails always.
//
//	clip, err := live.Load("clip.flv")
//	server := live.New(live.Options{Clip: clip, Faults: []live.Fault{{Connection: 1, AfterTags: 100, Do: live.Reset{MidTag: true}}}})
//	http.Handle("/live.flv", server)
//	…
//	server.Connections() // what was sent, tag by tag, with hashes that ffprobe prints too
//
// The server is strict: what the operator of a real one would call a client's fault (two connections at a time, odd
// methods, byte ranges) is noted in Mistakes. Its FLV parser accepts only files without any flaw, and shares no code with
// any client.
package live
