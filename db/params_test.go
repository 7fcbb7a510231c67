package db_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lubod/lubod/db"
)

func TestParamsKeepEveryFieldOfATemplate(t *testing.T) {
	var want db.Template
	fields := reflect.ValueOf(&want).Elem()
	for i := range fields.NumField() {
		switch field := fields.Field(i); field.Kind() {
		case reflect.String:
			field.SetString(fmt.Sprintf("text %d", i))
		case reflect.Int32:
			field.SetInt(int64(i))
		}
	}
	encoded, err := db.EncodeParams(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := db.DecodeParams(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n(-encoded +decoded):\n%s", encoded, diff)
	}
}

func TestParamsAreNoTemplateOfTheirOwn(t *testing.T) {
	encoded, err := db.EncodeParams(db.Template{ID: 7, Title: "a", CreatedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	got, err := db.DecodeParams(encoded)
	if err != nil || got.ID != 0 || !got.CreatedAt.IsZero() || got.Title != "a" {
		t.Errorf("decoded %+v, %v", got, err)
	}
	if _, err := db.DecodeParams([]byte(`{"tid":"x"}`)); err == nil {
		t.Error("a wrong type was decoded")
	}
}
