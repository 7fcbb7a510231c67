// Package live is a live HTTP-FLV server on the loopback interface, for tests, demonstrations and benchmarks of any
// stream client.
//
// It is fed by a clip that ffmpeg encoded ([Encode], [Load]), sends it in real time, faster, or as fast as the client
// reads, and does on request what delivery networks do to their viewers: it resets connections in the middle of a tag,
// stalls, answers with web pages, damages bytes, changes the encoder's parameter sets, lets the clock jump. A [Fault]
// strikes at a counted tag or at a place in the media, never at random, so that a test that fails once fails always.
//
//	clip, err := live.Load("clip.flv")
//	sim := live.New(t, live.Options{Clip: clip, GOPCache: 2 * time.Second})
//	sim.AddFault(live.Reset(live.AfterTags(100)).InMidTag())
//	… let the client record sim.URL() …
//	ends, err := sim.WaitEnded(ctx, 2)
//	want := sim.Expected(live.Video) // hashes that ffprobe -show_packets -show_data_hash sha256 prints too
//	sim.RequireNoViolations(t)
//
// The server is strict: what the operator of a real one would call a fault of the client, more connections than clients,
// odd methods, byte ranges, is recorded as a [Violation]. Its FLV parser is its own and accepts no flaw: what is broken
// here is broken on purpose.
//
// The container is described in Adobe's "Video File Format Specification" version 10, annex E, and in the enhanced RTMP
// specification of https://github.com/veovera/enhanced-rtmp.
package live
