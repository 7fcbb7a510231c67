package live

import (
	"net/http"
	"time"
)

// The constructors below make faults that strike once. Change that with For and Always, and which connections they are for
// with After, OfRequest and OfPath.

// For makes the fault strike n connections.
func (f Fault) For(n int) Fault { f.Times = n; return f }

// Always makes the fault strike every connection until it is removed.
func (f Fault) Always() Fault { f.Times = 0; return f }

// After spares n connections first.
func (f Fault) After(n int) Fault { f.Skip = n; return f }

// OfRequest limits the fault to a request, counted from 1.
func (f Fault) OfRequest(n int) Fault { f.Match.Request = n; return f }

// OfPath limits the fault to a path; with a * at the end, to those that begin so.
func (f Fault) OfPath(path string) Fault { f.Match.Path = path; return f }

// OfTrack limits a jump of the clock to one track.
func (f Fault) OfTrack(track Track) Fault { f.Action.Track = track; return f }

// InMidTag sends half of the next tag before a connection is closed, cut or reset.
func (f Fault) InMidTag() Fault { f.Action.MidTag = true; return f }

// Lasting ends a stall or a hang by itself.
func (f Fault) Lasting(d time.Duration) Fault { f.Action.Duration = d; return f }

func once(at At, action Action) Fault { return Fault{At: at, Action: action, Times: 1} }

const html = "<!DOCTYPE html>\n<html><head><title>error</title></head><body>The request was stopped by the gateway.</body></html>\n"

// Status answers with an HTTP status and its name.
func Status(status int) Fault { return once(At{}, Action{Do: DoAnswer, Status: status}) }

// NotFound answers with 404, as a delivery network does that does not know the stream yet, or any more.
func NotFound() Fault { return Status(http.StatusNotFound) }

// Forbidden answers with 403, as for an address whose signature is too old.
func Forbidden() Fault { return Status(http.StatusForbidden) }

// Answer answers with 200 and a body that is no stream.
func Answer(contentType, body string) Fault {
	return once(At{}, Action{Do: DoAnswer, Status: http.StatusOK, Header: map[string]string{"Content-Type": contentType}, Body: body})
}

// HTML answers with 200 and a web page, as captive gateways do.
func HTML() Fault { return Answer("text/html; charset=utf-8", html) }

// Redirect answers with 302 to another address.
func Redirect(to string) Fault {
	return once(At{}, Action{Do: DoAnswer, Status: http.StatusFound, Header: map[string]string{"Location": to}})
}

// Hang does not answer until released.
func Hang() Fault { return once(At{}, Action{Do: DoHang}) }

// Refuse resets the connection instead of answering.
func Refuse() Fault { return once(At{}, Action{Do: DoRefuse}) }

// Close ends the body properly.
func Close(at At) Fault { return once(at, Action{Do: DoClose}) }

// Cut closes the TCP connection without the end of the body.
func Cut(at At) Fault { return once(at, Action{Do: DoCut}) }

// Reset resets the TCP connection.
func Reset(at At) Fault { return once(at, Action{Do: DoReset}) }

// Stall sends nothing until released.
func Stall(at At) Fault { return once(at, Action{Do: DoStall}) }

// Drip sends so many bytes a second from there on.
func Drip(at At, bytesPerSecond int) Fault {
	return once(at, Action{Do: DoDrip, Bytes: bytesPerSecond})
}

// Garbage sends n bytes between two tags that belong to neither.
func Garbage(at At, n int) Fault { return once(at, Action{Do: DoGarbage, Bytes: n}) }

// Damage turns over n bytes in the codec's data of a tag.
func Damage(at At, n int) Fault { return once(at, Action{Do: DoDamage, Bytes: n}) }

// WrongSize says a wrong size in the header of a tag.
func WrongSize(at At, size int) Fault { return once(at, Action{Do: DoWrongSize, Bytes: size}) }

// NoTrailers writes 0 for the sizes behind tags, as some networks do.
func NoTrailers(at At) Fault { return once(at, Action{Do: DoNoTrailers}) }

// ChangeHeader sends other parameter sets for the same frames.
func ChangeHeader(at At) Fault { return once(at, Action{Do: DoChangeHeader}) }

// RepeatHeaders sends the same parameter sets again.
func RepeatHeaders(at At) Fault { return once(at, Action{Do: DoRepeatHeaders}) }

// Switch goes on with another clip, as when the streamer changes the resolution.
func Switch(at At, to *Clip) Fault { return once(at, Action{Do: DoSwitch, Clip: to}) }

// Jump moves the clock of the tags, forward or back.
func Jump(at At, by time.Duration) Fault { return once(at, Action{Do: DoJump, Shift: by}) }

// Restart lets the clock of the tags begin at 0 again.
func Restart(at At) Fault { return once(at, Action{Do: DoRestart}) }

// RepeatGOP sends a group of pictures twice.
func RepeatGOP(at At) Fault { return once(at, Action{Do: DoRepeatGOP}) }

// SkipGOP loses a group of pictures, or the rest of one.
func SkipGOP(at At) Fault { return once(at, Action{Do: DoSkipGOP}) }
