// Package bilibili is a strict Bilibili on the loopback interface: the part of the site that an upload client needs,
// from choosing a line to seeing the accepted archive. It is meant for tests, demonstrations and benchmarks of any
// client, also of those that have nothing to do with lubod.
//
// A client is pointed at it by overriding its base URLs: member.bilibili.com, api.bilibili.com and
// passport.bilibili.com all become [Server.URL]; the hosts of the upload lines come out of the answers, without a
// scheme as on the real site, and speak plain http.
//
//	sim := bilibili.New(t, bilibili.Options{})
//	account := sim.AddAccount(bilibili.AccountOptions{Name: "tester"})
//	account.CookieFile().WriteFile(path)
//	sim.AddFault(bilibili.ResetMidBody(2, 1<<20))
//	… run the client against sim.URL() …
//	archives, err := sim.WaitArchives(ctx, 1)
//	sim.RequireNoViolations(t)
//
// In [Strict] mode, the default, a request that departs from the protocol is refused and recorded as a [Violation],
// although the real service would let many of them pass: such a request is a mistake of the client that shows only as
// a damaged video later. [Lenient] mode forgives what the real service is believed to forgive.
//
// Every answer can be made to go wrong with a [Fault]. Everything that happened can be read in Go, or over HTTP as JSON
// below /_sim/ by scripts and other processes.
//
// The protocol has no official description. What is simulated here is what several public clients send and what their
// users report, for example https://github.com/biliup/biliup and https://github.com/SocialSisterYi/bilibili-API-collect.
package bilibili
