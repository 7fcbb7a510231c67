// Package bililive is a strict simulation of Bilibili's live site on the loopback interface: what a program needs that
// watches rooms, from short links to the media. It is meant for tests of any such program, in Go or not.
//
// A client is pointed at it by overriding its base URLs: api.live.bilibili.com, api.bilibili.com and b23.tv all become
// [Server.URL]; the media addresses come out of the answers.
//
//	sim := bililive.New(t, bililive.Options{})
//	sim.SetRoom(bililive.Room{ID: 7000001, UID: 1001, Title: "demo", State: bililive.Live})
//	… run the client against sim.URL() …
//	sim.RequireNoViolations(t)
//
// A request that the real site would refuse, or that only a mistaken client sends, is refused and recorded as a
// [Violation]: calls and parameters that do not exist, missing ones, signatures that do not fit, no visitor id, an
// unknown login, the headers of a program. Any call can be made to fail with a [Fault].
//
// The site has no official description. What is simulated here is what several public clients send and receive, for
// example https://github.com/SocialSisterYi/bilibili-API-collect and https://github.com/BililiveRecorder/BililiveRecorder.
package bililive
