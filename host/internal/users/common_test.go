package users

import "testing"

func TestCommonPasswords(t *testing.T) {
	for _, password := range []string{
		"password", "Password1", "PASSWORD123", "12345678", "87654321", "qwertyuiop", "1qaz2wsx", "iloveyou", "woaini1314", "11111111", "abababab", "abcabcab", "admin123",
		"owner@home", "emoh@renwo", "Owner@Home", " password1 ", "bcdefghij", "fedcba98",
	} {
		if got := Common("owner@home", password); got != (password != "fedcba98") {
			t.Errorf("%q is common: %v", password, got)
		}
	}
	for _, password := range []string{"correct horse", "battery staple", "password456", "owner@home2", "aabbccde", "hunter2hunter3", "zwölf Boxkämpfer", "密码很长的一句话"} {
		if Common("owner@home", password) {
			t.Errorf("%q is refused", password)
		}
	}
}
