// Command line-upos uploads files to Bilibili over every line that speaks the upos protocol.
package main

import (
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
)

var info = sdk.Info{Name: "upos", Version: "0.1.0", Lines: lineNames()}

func main() { line.Serve(info, newUpos) }
