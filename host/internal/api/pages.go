package api

import (
	"bytes"
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/lubod/lubod/host/internal/pages"
)

// registerPages adds what people see in a browser. It is outside of the contract: scripts have no use for it.
func (s *Server) registerPages(e *echo.Echo) {
	e.GET("/", s.indexPage)
	e.GET("/login", s.loginPage)
	e.GET("/assets/:file", asset)
}

// indexPage is where a newcomer lands: at the login, unless they are logged in.
func (s *Server) indexPage(c echo.Context) error {
	who := newCaller(c.Request())
	if _, err := s.sessions.load(c.Request(), who); err != nil {
		return err
	}
	if who.userID == 0 {
		return c.Redirect(http.StatusSeeOther, "/login")
	}
	page, err := s.pages.Index(language(c), who.username)
	return answerPage(c, page, err)
}

// loginPage logs in, or creates the first user. next, a path of this server, is where it leads to; any other is left out.
func (s *Server) loginPage(c echo.Context) error {
	exists, err := s.db.AnyUser(c.Request().Context())
	if err != nil {
		return err
	}
	login := pages.Login{Next: c.QueryParam("next"), First: !exists, Local: newCaller(c.Request()).local, Host: c.Request().Host}
	if !isLocalPath(login.Next) {
		login.Next = "/"
	}
	page, err := s.pages.Login(language(c), login)
	return answerPage(c, page, err)
}

func asset(c echo.Context) error {
	content, mediaType, ok := pages.Asset(c.Param("file"))
	if !ok {
		return echo.ErrNotFound
	}
	return c.Blob(http.StatusOK, mediaType, content)
}

func answerPage(c echo.Context, page []byte, err error) error {
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderContentSecurityPolicy, pages.Policy)
	return c.HTMLBlob(http.StatusOK, page)
}

func language(c echo.Context) pages.Language {
	return pages.Preferred(c.Request().Header.Get("Accept-Language"))
}

// GetContract answers openapi.yaml.
func (s *Server) GetContract(context.Context, GetContractRequestObject) (GetContractResponseObject, error) {
	return GetContract200ApplicationYamlResponse{Body: bytes.NewReader(contract), ContentLength: int64(len(contract))}, nil
}

// GetDocs answers the contract as a page.
func (s *Server) GetDocs(_ context.Context, request GetDocsRequestObject) (GetDocsResponseObject, error) {
	page := s.pages.Docs(pages.Preferred(text(request.Params.AcceptLanguage)))
	return GetDocs200TextHTMLResponse{
		Body: bytes.NewReader(page), ContentLength: int64(len(page)), Headers: GetDocs200ResponseHeaders{ContentSecurityPolicy: pages.Policy},
	}, nil
}
