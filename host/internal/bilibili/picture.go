package bilibili

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	_ "image/gif" // formats that rooms and people have pictures in
	"image/jpeg"
	_ "image/png"
	"net/http"
	"strings"

	_ "golang.org/x/image/bmp"
	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp"
)

// MaxCover is how many bytes a picture for a cover may have.
const MaxCover = 8 << 20

const (
	// Bilibili refuses covers below this size, and its pages ask for less than this many bytes.
	minWidth, minHeight = 960, 600
	maxBytes            = 5 << 20
	// A picture below a tenth of that size shows nothing when it is made larger.
	leastWidth, leastHeight = minWidth / 10, minHeight / 10
	// maxPixels bounds what is decoded: four bytes for each of them.
	maxPixels = 4096 * 4096
	// jpegQuality is that of covers which are written anew.
	jpegQuality = 90
)

// ErrNoPicture means that something cannot be a cover; its text says what can.
var ErrNoPicture = errors.New("it cannot be a cover")

// FitCover makes a cover that Bilibili takes of a picture: a JPEG or PNG picture of at least 960×600 pixels stays as it is, others
// are written anew, and small ones made larger. ErrNoPicture: nothing can be made of it.
func FitCover(picture []byte) ([]byte, error) {
	config, format, err := measure(picture)
	if err != nil {
		return nil, err
	}
	small := config.Width < minWidth || config.Height < minHeight
	if (format == "jpeg" || format == "png") && !small && len(picture) <= maxBytes {
		return picture, nil
	}
	width, height := target(config.Width, config.Height)
	if max(config.Width*config.Height, width*height) > maxPixels {
		return nil, fmt.Errorf("%w: a %s picture of %d×%d pixels cannot be converted; make it smaller, or less long", ErrNoPicture, format, config.Width, config.Height)
	}
	decoded, _, err := image.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, fmt.Errorf("%w: the %s picture is damaged, or animated: %w", ErrNoPicture, format, err)
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, onWhite(decoded, width, height), &jpeg.Options{Quality: jpegQuality}); err != nil {
		return nil, fmt.Errorf("%w: it cannot be converted: %w", ErrNoPicture, err)
	}
	if out.Len() > MaxCover {
		return nil, fmt.Errorf("%w: as a JPEG picture it has more than %d MiB", ErrNoPicture, MaxCover>>20)
	}
	return out.Bytes(), nil
}

// measure tells the size and format of what may be a cover.
func measure(picture []byte) (image.Config, string, error) {
	switch {
	case len(picture) == 0:
		return image.Config{}, "", fmt.Errorf("%w: it is empty", ErrNoPicture)
	case len(picture) > MaxCover:
		return image.Config{}, "", fmt.Errorf("%w: it has more than %d MiB", ErrNoPicture, MaxCover>>20)
	}
	config, format, err := image.DecodeConfig(bytes.NewReader(picture))
	if err != nil {
		kind, _, _ := strings.Cut(http.DetectContentType(picture), ";")
		return config, "", fmt.Errorf("%w: it must be a JPEG, PNG, WebP, GIF or BMP picture, and is %s", ErrNoPicture, kind)
	}
	if config.Width < leastWidth || config.Height < leastHeight {
		return config, "", fmt.Errorf("%w: it has %d×%d pixels, and Bilibili wants %d×%d at least", ErrNoPicture, config.Width, config.Height, minWidth, minHeight)
	}
	return config, format, nil
}

// target is the size of a cover that is written anew: at least what Bilibili wants, in the proportions of the picture.
func target(width, height int) (int, int) {
	scale := max(1, minWidth/float64(width), minHeight/float64(height))
	return max(minWidth, int(float64(width)*scale+0.5)), max(minHeight, int(float64(height)*scale+0.5))
}

// onWhite is a picture of that size, with white where it was see-through.
func onWhite(picture image.Image, width, height int) image.Image {
	bounds := image.Rectangle{Max: picture.Bounds().Size()}
	flat := image.NewRGBA(bounds)
	draw.Draw(flat, bounds, image.White, image.Point{}, draw.Src)
	draw.Draw(flat, bounds, picture, picture.Bounds().Min, draw.Over)
	if bounds.Dx() == width && bounds.Dy() == height {
		return flat
	}
	out := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.CatmullRom.Scale(out, out.Bounds(), flat, bounds, draw.Src, nil)
	return out
}
