package bilibili

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/color/palette"
	"image/gif"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	"golang.org/x/image/bmp"

	simulator "github.com/lubod/lubod/sdk/simulator/bilibili"
)

// webp is a red picture of 320×200 pixels; there is no encoder for Go.
const webp = "UklGRuQAAABXRUJQVlA4INgAAABQEQCdASpAAcgAP5nM42s5Mi6pICgDIDMJaW7hd2EHw4AAnsA99snIe+2TkPfbJyHvtk5D32ych77ZOQ99snIe+2TkPfbJyHvtk5D32ych77ZOQ99snIe+2TkPfbJyHvtk5D32ych77ZOQ99snIe+2TkPfbJyHvtk5D32ych77ZOQ99snIe+2TkPfbJyHvtk5D3pAA/v9hw/pPW3MTv/4c/1P/1PcV4q7jwGNcVdx4DGhgQDD/sgCBKJkMdGIYomjK9+higxH4ETbC3Mj/3ZqUDDA2urFiAAA="

// encodePicture makes a picture.
func encodePicture(t testing.TB, format string, width, height int) []byte {
	t.Helper()
	if format == "webp" {
		raw, err := base64.StdEncoding.DecodeString(webp)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	picture, out := image.NewPaletted(image.Rect(0, 0, width, height), palette.Plan9), &bytes.Buffer{}
	var err error
	switch format {
	case "jpeg":
		err = jpeg.Encode(out, picture, nil)
	case "png":
		err = png.Encode(out, picture)
	case "gif":
		err = gif.Encode(out, picture, nil)
	case "bmp":
		err = bmp.Encode(out, picture)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestPicturesAreMadeToFit(t *testing.T) {
	for _, test := range []struct {
		format        string
		width, height int
		want          string // empty: it stays as it is
	}{
		{"jpeg", 960, 600, ""}, {"png", 1920, 1080, ""},
		{"jpeg", 640, 360, "1067×600"}, {"png", 959, 600, "960×601"},
		{"gif", 961, 601, "961×601"}, {"bmp", 960, 600, "960×600"}, {"webp", 320, 200, "960×600"},
	} {
		name := fmt.Sprintf("%s %d×%d", test.format, test.width, test.height)
		picture := encodePicture(t, test.format, test.width, test.height)
		cover, err := FitCover(picture)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if test.want == "" {
			if !bytes.Equal(cover, picture) {
				t.Errorf("%s: a picture that fits was written anew", name)
			}
			continue
		}
		decoded, format, err := image.Decode(bytes.NewReader(cover))
		if err != nil || format != "jpeg" {
			t.Errorf("%s became %s, %v", name, format, err)
			continue
		}
		if got := fmt.Sprintf("%d×%d", decoded.Bounds().Dx(), decoded.Bounds().Dy()); got != test.want {
			t.Errorf("%s became %s, want %s", name, got, test.want)
		}
		if test.format == "webp" {
			if r, g, b, _ := decoded.At(400, 300).RGBA(); r>>8 < 200 || g>>8 > 60 || b>>8 > 60 {
				t.Errorf("red became %d %d %d", r>>8, g>>8, b>>8)
			}
		}
		if err := checkCover(cover); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestASeeThroughPictureIsPutOnWhite(t *testing.T) {
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewNRGBA(image.Rect(0, 0, 480, 300))); err != nil {
		t.Fatal(err)
	}
	cover, err := FitCover(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := jpeg.Decode(bytes.NewReader(cover))
	if err != nil {
		t.Fatal(err)
	}
	if r, g, b, _ := decoded.At(10, 10).RGBA(); r>>8 < 250 || g>>8 < 250 || b>>8 < 250 {
		t.Errorf("nothing became %d %d %d", r>>8, g>>8, b>>8)
	}
}

func TestAPictureOfManyBytesIsMadeSmaller(t *testing.T) {
	picture := append(encodePicture(t, "jpeg", 960, 600), make([]byte, maxBytes)...)
	cover, err := FitCover(picture)
	if err != nil || len(cover) > maxBytes || checkCover(cover) != nil {
		t.Errorf("%d bytes became %d, %v", len(picture), len(cover), err)
	}
}

func TestWhatCannotBeMadeACoverSaysWhy(t *testing.T) {
	animated := append([]byte("RIFF\x1e\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00\xbf\x03\x00\x57\x02\x00"), make([]byte, 8)...)
	for name, test := range map[string]struct {
		picture []byte
		want    string
	}{
		"empty":         {nil, "it is empty"},
		"text":          {[]byte("SESSDATA"), "must be a JPEG, PNG, WebP, GIF or BMP picture, and is text/plain"},
		"too many":      {append(encodePicture(t, "png", 960, 600), make([]byte, MaxCover)...), "more than 8 MiB"},
		"tiny":          {encodePicture(t, "png", 95, 60), "it has 95×60 pixels, and Bilibili wants 960×600 at least"},
		"long":          {encodePicture(t, "png", 96, 17600), "cannot be converted; make it smaller, or less long"},
		"large":         {[]byte("GIF89a\x88\x13\x88\x13\x00\x00\x00"), "a gif picture of 5000×5000 pixels cannot be converted"},
		"damaged":       {encodePicture(t, "webp", 0, 0)[:100], "damaged, or animated"},
		"animated WebP": {animated, "damaged, or animated"},
	} {
		if cover, err := FitCover(test.picture); !errors.Is(err, ErrNoPicture) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %d bytes, %v", name, len(cover), err)
		}
	}
}

func TestCoversGetAnAddress(t *testing.T) {
	for _, format := range []string{"jpeg", "png"} {
		w := newWorld(t)
		picture := encodePicture(t, format, 960, 600)
		address, err := w.client.UploadCover(t.Context(), w.account, picture)
		if err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		covers := w.sim.Covers()
		if len(covers) != 1 || covers[0].URL != address || covers[0].Format != format || covers[0].Bytes != len(picture) || covers[0].Width != 960 {
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
	address, err := w.client.UploadCover(t.Context(), w.account, encodePicture(t, "jpeg", 960, 600))
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
		"gif":       {encodePicture(t, "gif", 960, 600), nil, ErrNoPicture},
		"webp":      {encodePicture(t, "webp", 0, 0), nil, ErrNoPicture},
		"small":     {encodePicture(t, "jpeg", 959, 600), nil, ErrNoPicture},
		"too large": {append(encodePicture(t, "png", 960, 600), make([]byte, MaxCover)...), nil, ErrNoPicture},
		"no data":   {encodePicture(t, "png", 960, 600), faultOf(simulator.CoverNull()), ErrAnswerLost},
		"cut":       {encodePicture(t, "png", 960, 600), faultOf(simulator.AnswerLost(simulator.CallCover)), ErrAnswerLost},
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
		if _, err := w.client.UploadCover(t.Context(), w.account, encodePicture(t, "png", 960, 600)); !errors.As(err, &refused) || refused.Code != code {
			t.Errorf("%d: %v", code, err)
		}
	}
	bare := &Account{File: "a.json", Cookies: map[string]string{"SESSDATA": "s"}}
	if _, err := w.client.UploadCover(t.Context(), bare, encodePicture(t, "png", 960, 600)); !errors.Is(err, ErrNoAccount) {
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

func FuzzFitCover(f *testing.F) {
	f.Add([]byte("\x89PNG\r\n\x1a\n"))
	f.Add([]byte("\xff\xd8\xff"))
	f.Add(encodePicture(f, "webp", 0, 0))
	f.Add(encodePicture(f, "gif", 100, 70))
	f.Fuzz(func(t *testing.T, picture []byte) {
		cover, err := FitCover(picture)
		if err != nil && !errors.Is(err, ErrNoPicture) {
			t.Error(err)
		}
		if err == nil && checkCover(cover) != nil {
			t.Error(checkCover(cover))
		}
	})
}
