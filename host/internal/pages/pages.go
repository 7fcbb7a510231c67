// Package pages draws what the server shows to people in a browser: the login, an index, and the documentation of the
// API. Everything is part of the program and nothing comes from the internet. No page holds a script or a style of its
// own, so that their content security policy can be strict.
package pages

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"path"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

//go:embed templates assets
var files embed.FS

// Policy is the content security policy of every page.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Pages are all pages, ready to be filled in.
type Pages struct {
	login, index *template.Template
	docs         map[Language][]byte
}

// Login is what the login page depends on.
type Login struct {
	// Next is where to go afterwards, a path of this server.
	Next string
	// First tells that there is no user yet: the page creates one.
	First bool
	// Local tells that the first user may be created without the set-up token.
	Local bool
	// Host is how the browser calls this server.
	Host string
}

// New draws the documentation of spec.
func New(spec *openapi3.T) (*Pages, error) {
	p := &Pages{docs: make(map[Language][]byte)}
	var err error
	if p.login, err = parse("login.html"); err != nil {
		return nil, err
	}
	if p.index, err = parse("index.html"); err != nil {
		return nil, err
	}
	docs, err := parse("docs.html")
	if err != nil {
		return nil, err
	}
	for _, language := range []Language{English, Chinese} {
		if p.docs[language], err = draw(docs, language, describe(spec)); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Login draws the login page.
func (p *Pages) Login(language Language, login Login) ([]byte, error) {
	return draw(p.login, language, login)
}

// Index draws the page that a logged-in user begins at.
func (p *Pages) Index(language Language, username string) ([]byte, error) {
	return draw(p.index, language, username)
}

// Docs is the documentation of the API.
func (p *Pages) Docs(language Language) []byte { return p.docs[language] }

// Asset returns a file that pages load, and its media type.
func Asset(name string) (content []byte, mediaType string, ok bool) {
	types := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
	mediaType, ok = types[path.Ext(name)]
	if !ok || strings.ContainsAny(name, `/\`) {
		return nil, "", false
	}
	content, err := files.ReadFile("assets/" + name)
	return content, mediaType, err == nil
}

func parse(name string) (*template.Template, error) {
	t, err := template.New(name).Funcs(template.FuncMap{"prose": prose, "table": newTable}).ParseFS(files, "templates/"+name, "templates/frame.html")
	if err != nil {
		return nil, fmt.Errorf("read page %s: %w", name, err)
	}
	return t, nil
}

func draw(t *template.Template, language Language, data any) ([]byte, error) {
	var page bytes.Buffer
	if err := t.Execute(&page, map[string]any{"T": wordsOf(language), "Data": data}); err != nil {
		return nil, fmt.Errorf("draw page: %w", err)
	}
	return page.Bytes(), nil
}

// prose turns the little Markdown of descriptions into HTML: paragraphs and `code`.
func prose(text string) template.HTML {
	var html strings.Builder
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if paragraph == "" {
			continue
		}
		html.WriteString("<p>")
		for i, part := range strings.Split(paragraph, "`") {
			escaped := template.HTMLEscapeString(part)
			if i%2 == 1 {
				escaped = "<code>" + escaped + "</code>"
			}
			html.WriteString(escaped)
		}
		html.WriteString("</p>")
	}
	return template.HTML(html.String()) //nolint:gosec // every part is escaped above
}
