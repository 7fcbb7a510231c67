package bilibili

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"image"
	_ "image/jpeg" // covers are sent as JPEG or PNG
	_ "image/png"
	"net/http"
	"slices"
	"strings"
)

// Cover is an uploaded cover.
type Cover struct {
	MID int64  `json:"mid"`
	URL string `json:"url"`
	// Format is jpeg or png, as found in the bytes.
	Format string `json:"format"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
	Bytes  int    `json:"bytes"`
}

// Covers lists the uploaded covers.
func (s *Server) Covers() []Cover {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.state.covers)
}

// Covers below this size are refused.
const minCoverWidth, minCoverHeight = 960, 600

// coverUp takes a cover as a data URL.
func (x *exchange) coverUp() *answer {
	owner, ok := x.byCookies()
	if !ok {
		return x.failure(codeNotLoggedIn, message(codeNotLoggedIn))
	}
	form := x.form()
	x.only(form)
	if !x.check(form.Get("csrf") == owner.Cookies["bili_jct"], RuleCSRF, "csrf is %q, not the cookie bili_jct", form.Get("csrf")) {
		return x.failure(codeCSRF, message(codeCSRF))
	}
	encoded, ok := strings.CutPrefix(form.Get("cover"), "data:image/jpeg;base64,")
	if !ok {
		encoded, ok = strings.CutPrefix(form.Get("cover"), "data:image/png;base64,")
	}
	x.check(ok, RuleBody, "cover does not start with data:image/jpeg;base64,")
	picture, err := base64.StdEncoding.DecodeString(encoded)
	x.check(err == nil, RuleBody, "cover is not base64: %v", err)
	config, format, err := image.DecodeConfig(bytes.NewReader(picture))
	// Other packages of a test may bring decoders for more formats.
	if x.check(err == nil && (format == "jpeg" || format == "png"), RuleBody, "cover is not a JPEG or PNG picture: %s, %v", format, err) {
		x.check(config.Width >= minCoverWidth && config.Height >= minCoverHeight, RuleBody, "cover has %d×%d pixels, at least %d×%d are wanted",
			config.Width, config.Height, minCoverWidth, minCoverHeight)
	}
	if x.refused() {
		return x.failure(codeBadRequest, message(codeBadRequest))
	}
	sum := sha1.Sum(picture)
	cover := Cover{
		MID: owner.MID, URL: "https://archive.biliimg.com/bfs/archive/" + hex.EncodeToString(sum[:]) + ".jpg",
		Format: format, Width: config.Width, Height: config.Height, Bytes: len(picture),
	}
	x.s.state.covers = append(x.s.state.covers, cover)
	return success(map[string]any{"url": cover.URL})
}

// archivePre lists the categories.
func (x *exchange) archivePre() *answer {
	if _, ok := x.byCookies(); !ok {
		return x.failure(codeNotLoggedIn, message(codeNotLoggedIn))
	}
	if x.refused() {
		return x.failure(codeBadRequest, message(codeBadRequest))
	}
	return success(map[string]any{"typelist": categories()})
}

// myInfo says who is logged in.
func (x *exchange) myInfo() *answer {
	owner, ok := x.byCookies()
	if !ok {
		return x.failure(codeNotLoggedIn, message(codeNotLoggedIn))
	}
	if x.refused() {
		return x.failure(codeBadRequest, message(codeBadRequest))
	}
	return success(map[string]any{
		"mid": owner.MID, "name": owner.Name, "face": x.s.faceURL(), "level": 5, "follower": 1024, "following": 16,
	})
}

// nav says whether somebody is logged in.
func (x *exchange) nav() *answer {
	var owner *account
	ok := false
	if x.cookie("SESSDATA") != "" { // asking without a session is no mistake here
		owner, ok = x.byCookies()
	}
	switch {
	case x.refused():
		return x.failure(codeBadRequest, message(codeBadRequest))
	case !ok:
		return jsonAnswer(http.StatusOK, map[string]any{
			"code": codeNotLoggedIn, "message": message(codeNotLoggedIn), "ttl": 1, "data": map[string]any{"isLogin": false},
		})
	}
	return success(map[string]any{"isLogin": true, "mid": owner.MID, "uname": owner.Name, "face": x.s.faceURL()})
}

const facePath = "/bfs/face/tester.png"

func (s *Server) faceURL() string { return s.URL() + facePath }

// face is the picture of every account: one grey pixel.
func (x *exchange) face() *answer {
	const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
	picture, err := base64.StdEncoding.DecodeString(pixel)
	if err != nil {
		panic(err) // a constant
	}
	return &answer{status: http.StatusOK, body: picture, header: http.Header{"Content-Type": {"image/png"}}}
}
