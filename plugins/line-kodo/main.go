// Command line-kodo uploads files to Bilibili by way of Qiniu: their blocks go to a bucket there, and Bilibili fetches the
// whole from it. Bilibili's service stopped offering this in 2023.
package main

import (
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
)

// lineName is the one line of this plugin.
const lineName = "kodo"

var info = sdk.Info{Name: "kodo", Version: "0.1.0", Lines: []string{lineName}}

func main() { line.Serve(info, newKodo) }
