package db

import (
	"encoding/json"
	"fmt"
	"time"
)

// params is how recordings.params holds a template. A column that templates gain has to be named here as well: until
// then the conversions below do not compile.
type params struct {
	ID                int64     `json:"-"`
	TemplateName      string    `json:"template_name"`
	Title             string    `json:"title"`
	TID               int32     `json:"tid"`
	Tag               string    `json:"tag"`
	Copyright         int32     `json:"copyright"`
	Source            string    `json:"source"`
	Description       string    `json:"desc"`
	Dynamic           string    `json:"dynamic"`
	Cover             string    `json:"cover"`
	Dolby             int32     `json:"dolby"`
	Hires             int32     `json:"hires"`
	NoReprint         int32     `json:"no_reprint"`
	OpenElec          int32     `json:"open_elec"`
	UserCookie        string    `json:"user_cookie"`
	CreatedAt         time.Time `json:"-"`
	UpdatedAt         time.Time `json:"-"`
	HumanType2        int32     `json:"human_type2,omitempty"`
	CreationStatement int32     `json:"creation_statement,omitempty"`
}

// EncodeParams makes recordings.params of a template.
func EncodeParams(t Template) ([]byte, error) {
	encoded, err := json.Marshal(params(t))
	if err != nil {
		return nil, fmt.Errorf("encode publishing parameters: %w", err)
	}
	return encoded, nil
}

// DecodeParams makes a template of recordings.params.
func DecodeParams(encoded []byte) (Template, error) {
	var p params
	if err := json.Unmarshal(encoded, &p); err != nil {
		return Template{}, fmt.Errorf("decode publishing parameters: %w", err)
	}
	return Template(p), nil
}
