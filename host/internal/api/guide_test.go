package api

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lubod/lubod/db/dbtest"
	sim "github.com/lubod/lubod/sdk/simulator/bilibili"
)

var (
	curlBlock = regexp.MustCompile("(?s)```bash\n(curl .*?)```")
	// Arguments of the guide's commands: quoted in one of two ways, or bare.
	curlArgument = regexp.MustCompile(`'([^']*)'|"([^"]*)"|(\S+)`)
)

// TestGuide runs every command of the guide in order, in both languages, and makes sure that no operation is left out.
func TestGuide(t *testing.T) {
	english, chinese := guideCommands(t, "README.md"), guideCommands(t, "README.zh.md")
	if diff := cmp.Diff(english, chinese); diff != "" {
		t.Errorf("the commands of the two guides differ (-en +zh):\n%s", diff)
	}
	h := newHarness(t, dbtest.New(t))
	h.addAccount(t, "cookies.json", sim.AccountOptions{})
	writeVideo(t, h, "recording.mp4", "1", 1704873600)
	qrKey := ""
	missing := make(map[string]bool)
	for key := range h.server.operations {
		missing[key] = true
	}
	for _, command := range english {
		method, path, body, headers := parseCurl(t, command)
		if strings.HasSuffix(path, "/login_by_qrcode") {
			body = strings.Replace(body, "KEY", qrKey, 1)
			if err := h.sim.ConfirmQR("", 0); err != nil {
				t.Fatal(err)
			}
		}
		a := h.call(t, method, path, body, headers...)
		want := 200
		switch {
		case strings.HasSuffix(path, "/logout"):
			want = 303
		case strings.HasSuffix(path, "/ws/logs"):
			want = 101
		case strings.HasSuffix(path, "/files"), strings.Contains(path, "/hooks/"):
			want = 404 // nothing was recorded yet, as the guide says
		case strings.Contains(path, "/sessions/"):
			want = 404 // the change of the password ended it
		case strings.Contains(path, "/api_users/"):
			want = 409 // the last user, as the guide says
		case strings.Contains(path, "/proxy?"):
			want = 503 // tests reach nothing outside; TestProxy does the rest
		}
		if a.status != want {
			t.Errorf("%s\nanswered %d %s", command, a.status, a.body)
		}
		if strings.HasSuffix(path, "/qrcode") {
			var code QRCode
			a.decode(t, &code)
			qrKey = code.QrcodeKey
		}
		path, _, _ = strings.Cut(path, "?")
		delete(missing, method+" "+regexp.MustCompile(`/1\b`).ReplaceAllString(path, "/:id"))
	}
	for key := range missing {
		t.Errorf("the guide has no command for %s", key)
	}
}

func guideCommands(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	for _, match := range curlBlock.FindAllStringSubmatch(string(text), -1) {
		commands = append(commands, strings.ReplaceAll(match[1], "\\\n", ""))
	}
	return commands
}

// parseCurl understands the options that the guide uses.
func parseCurl(t *testing.T, command string) (method, path, body string, headers []string) {
	t.Helper()
	var arguments []string
	for _, match := range curlArgument.FindAllStringSubmatch(command, -1) {
		arguments = append(arguments, match[1]+match[2]+match[3])
	}
	method = "GET"
	for i := 1; i < len(arguments); i++ {
		switch argument := arguments[i]; {
		case argument == "-X":
			i++
			method = arguments[i]
		case argument == "-d":
			i++
			body = arguments[i]
		case argument == "-H":
			i++
			name, value, _ := strings.Cut(arguments[i], ": ")
			headers = append(headers, name, value)
		case slices.Contains([]string{"-b", "-c"}, argument):
			i++ // the browser of the test keeps cookies by itself
		case argument == "-N":
		case argument == "--max-time":
			i++ // nobody waits for the end of a stream here
		case strings.HasPrefix(argument, "http://127.0.0.1:19159/"):
			path = strings.TrimPrefix(argument, "http://127.0.0.1:19159")
		default:
			t.Fatalf("the guide uses %q", argument)
		}
	}
	return method, path, body, headers
}
