package bilibili

import (
	"bytes"
	"errors"
	"image"
	"image/color/palette"
	"image/gif"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	simulator "github.com/lubod/lubod/sdk/simulator/bilibili"
)

// encodePicture makes a small picture.
func encodePicture(t *testing.T, format string) []byte {
	t.Helper()
	picture, out := image.NewPaletted(image.Rect(0, 0, 16, 10), palette.Plan9), &bytes.Buffer{}
	var err error
	switch format {
	case "jpeg":
		err = jpeg.Encode(out, picture, nil)
	case "png":
		err = png.Encode(out, picture)
	case "gif":
		err = gif.Encode(out, picture, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestCoversGetAnAddress(t *testing.T) {
	for _, format := range []string{"jpeg", "png"} {
		w := newWorld(t)
		picture := encodePicture(t, format)
		address, err := w.client.UploadCover(t.Context(), w.account, picture)
		if err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		covers := w.sim.Covers()
		if len(covers) != 1 || covers[0].URL != address || covers[0].Format != format || covers[0].Bytes != len(picture) || covers[0].Width != 16 {
			t.Errorf("%s: %s, %+v", format, address, covers)
		}
		if !IsCoverURL(address) {
			t.Errorf("%s is not taken for one of Bilibili's", address)
		}
		w.sim.RequireNoViolations(t)
	}
}

func TestACoverWithoutSSLGetsIt(t *testing.T) {
	w := newWorld(t)
	w.sim.AddFault(simulator.CoverHTTP())
	address, err := w.client.UploadCover(t.Context(), w.account, encodePicture(t, "jpeg"))
	if err != nil || !strings.HasPrefix(address, "https://archive.biliimg.com/") {
		t.Errorf("%s, %v", address, err)
	}
}

func TestCoversThatGoWrong(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct {
		picture []byte
		fault   *simulator.Fault
		want    error
	}{
		"empty":     {nil, nil, ErrNoPicture},
		"a text":    {[]byte("SESSDATA"), nil, ErrNoPicture},
		"gif":       {encodePicture(t, "gif"), nil, ErrNoPicture},
		"too large": {append(encodePicture(t, "png"), make([]byte, MaxCover)...), nil, ErrNoPicture},
		"no data":   {encodePicture(t, "png"), faultOf(simulator.CoverNull()), ErrAnswerLost},
		"cut":       {encodePicture(t, "png"), faultOf(simulator.AnswerLost(simulator.CallCover)), ErrAnswerLost},
	} {
		if test.fault != nil {
			w.sim.AddFault(*test.fault)
		}
		if address, err := w.client.UploadCover(t.Context(), w.account, test.picture); !errors.Is(err, test.want) {
			t.Errorf("%s: %q, %v", name, address, err)
		}
	}
	var refused *RefusedError
	for _, code := range []int{-400, -101, -111} {
		w.sim.AddFault(simulator.Code(code).On(simulator.CallCover))
		if _, err := w.client.UploadCover(t.Context(), w.account, encodePicture(t, "png")); !errors.As(err, &refused) || refused.Code != code {
			t.Errorf("%d: %v", code, err)
		}
	}
	bare := &Account{File: "a.json", Cookies: map[string]string{"SESSDATA": "s"}}
	if _, err := w.client.UploadCover(t.Context(), bare, encodePicture(t, "png")); !errors.Is(err, ErrNoAccount) {
		t.Errorf("without a csrf cookie: %v", err)
	}
	w.sim.RequireNoViolations(t)
}

func faultOf(fault simulator.Fault) *simulator.Fault { return &fault }

func TestIsCoverURL(t *testing.T) {
	for address, want := range map[string]bool{
		"https://i0.hdslb.com/bfs/archive/a.jpg": true, "http://archive.biliimg.com/a.jpg": true, "https://hdslb.com.evil.example/a.jpg": false,
		"https://evilhdslb.com/a.jpg": false, "ftp://i0.hdslb.com/a.jpg": false, "cover.jpg": false, "": false, "https://": false, "http://a b/": false,
	} {
		if got := IsCoverURL(address); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

func FuzzCheckCover(f *testing.F) {
	f.Add([]byte("\x89PNG\r\n\x1a\n"))
	f.Add([]byte("\xff\xd8\xff"))
	f.Fuzz(func(t *testing.T, picture []byte) {
		if err := CheckCover(picture); err != nil && !errors.Is(err, ErrNoPicture) {
			t.Error(err)
		}
	})
}
