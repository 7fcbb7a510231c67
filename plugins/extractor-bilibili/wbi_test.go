package main

import (
	"testing"
	"time"
)

// The pair of keys that public documentation uses for its vectors.
const (
	vectorImg = "7cd084941338484aae1ad9425b84077c"
	vectorSub = "4932caff0ff746eab6f01bf08b70ac45"
)

func TestSignatureVectors(t *testing.T) {
	key, ok := mixedKey(vectorImg, vectorSub)
	if !ok || key != "ea1db124af3c7062474693fa704f4ff8" {
		t.Fatalf("mixed key %q", key)
	}
	for _, c := range []struct {
		query map[string]string
		at    int64
		want  string
	}{
		{
			map[string]string{"foo": "114", "bar": "514", "zab": "1919810"}, 1702204169,
			"bar=514&foo=114&wts=1702204169&zab=1919810&w_rid=8f6f2b5b3d485fe1886cec6a0be8c5d4",
		},
		{
			map[string]string{"foo": ")-_-( F**' 哔~!", "bar": "2333"}, 1748867128,
			"bar=2333&foo=-_-%20F%20%E5%93%94~&wts=1748867128&w_rid=6ba96e28a3f09b40e704f1e4b4f8e3e3",
		},
		{
			map[string]string{"room_id": "7734200", "web_location": "444.8"}, 1767225600,
			"room_id=7734200&web_location=444.8&wts=1767225600&w_rid=a8208183f335558cece34adb068a7a2d",
		},
		{
			map[string]string{
				"room_id": "7734200", "qn": "10000", "platform": "html5", "protocol": "0,1", "format": "0,1,2", "codec": "0", "dolby": "5",
				"web_location": "444.8",
			}, 1767225600,
			"codec=0&dolby=5&format=0%2C1%2C2&platform=html5&protocol=0%2C1&qn=10000&room_id=7734200&web_location=444.8&wts=1767225600" +
				"&w_rid=c233aae9af8da2191ba1707698f6b692",
		},
	} {
		if got := signed(c.query, key, time.Unix(c.at, 0)); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestShortKeysAreRefused(t *testing.T) {
	if key, ok := mixedKey("abc", "def"); ok {
		t.Errorf("made a key %q of too little", key)
	}
}
