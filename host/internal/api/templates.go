package api

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/host/internal/upload"
)

const defaultTID = 171

// ListTemplates answers all templates.
func (s *Server) ListTemplates(ctx context.Context, _ ListTemplatesRequestObject) (ListTemplatesResponseObject, error) {
	rows, err := s.db.ListTemplates(ctx)
	if err != nil {
		return nil, err
	}
	templates := make([]Template, 0, len(rows))
	for _, row := range rows {
		templates = append(templates, template(row))
	}
	return ListTemplates200JSONResponse(templates), nil
}

// GetTemplate answers one template.
func (s *Server) GetTemplate(ctx context.Context, request GetTemplateRequestObject) (GetTemplateResponseObject, error) {
	row, err := s.db.GetTemplate(ctx, request.ID)
	if err != nil {
		return nil, orNotFound(err, "template", request.ID)
	}
	return GetTemplate200JSONResponse{TemplateJSONResponse(template(row))}, nil
}

// SaveTemplate creates a template, or changes the one that the body's id names.
func (s *Server) SaveTemplate(ctx context.Context, request SaveTemplateRequestObject) (SaveTemplateResponseObject, error) {
	body := request.Body
	id := valueOr(body.ID, 0)
	if id == 0 && body.TemplateName == nil {
		return nil, invalid("template_name", reason.New(reason.APIMissing))
	}
	var before, saved db.Template
	var renamed []int64
	err := s.db.InTx(ctx, func(_ pgx.Tx, q *db.Queries) error {
		before = defaultTemplate()
		if id != 0 {
			var err error
			if before, err = q.LockTemplate(ctx, id); err != nil {
				return orNotFound(err, "template", id)
			}
		}
		after, err := s.changedTemplate(before, body)
		if err != nil {
			return err
		}
		if id == 0 {
			saved, err = q.InsertTemplate(ctx, insertion(after))
			return err
		}
		if saved, err = q.UpdateTemplate(ctx, updateFields(after)); err != nil {
			return err
		}
		renamed, err = carryName(ctx, q, before.TemplateName, after.TemplateName)
		return err
	})
	if violates(err, "templates_template_name_key") {
		return nil, conflict("template_name", reason.New(reason.APITemplateExists, "name", quoted(text(body.TemplateName))))
	}
	if err != nil {
		return nil, err
	}
	if id == 0 {
		s.wrote(ctx, "template created", "id", saved.ID, "template", saved.TemplateName)
	} else if fields := changedFields(template(before), template(saved)); len(fields) > 0 {
		s.wrote(ctx, "template changed", "id", saved.ID, "template", saved.TemplateName, "fields", fields)
	}
	for _, streamer := range renamed {
		s.rooms.Changed(streamer)
	}
	s.uploads.PublishingChanged()
	return SaveTemplate200JSONResponse{TemplateJSONResponse(template(saved))}, nil
}

// carryName keeps a template and those that name it together when it gets a new name.
func carryName(ctx context.Context, q *db.Queries, before, after string) ([]int64, error) {
	if before == after {
		return nil, nil
	}
	if err := q.RenameTemplateInRecordings(ctx, db.RenameTemplateInRecordingsParams{OldName: before, NewName: after}); err != nil {
		return nil, err
	}
	return q.RenameTemplateInStreamers(ctx, db.RenameTemplateInStreamersParams{OldName: before, NewName: after})
}

// DeleteTemplate removes a template.
func (s *Server) DeleteTemplate(ctx context.Context, request DeleteTemplateRequestObject) (DeleteTemplateResponseObject, error) {
	row, err := s.db.DeleteTemplate(ctx, request.ID)
	if err != nil {
		return nil, orNotFound(err, "template", request.ID)
	}
	s.wrote(ctx, "template deleted", "id", row.ID, "template", row.TemplateName)
	s.uploads.PublishingChanged()
	return DeleteTemplate200JSONResponse{TemplateJSONResponse(template(row))}, nil
}

// defaultTemplate is what a template is where nobody says otherwise.
func defaultTemplate() db.Template { return db.Template{TID: defaultTID, Copyright: 1} }

// changedTemplate is a template with what the body names, checked.
func (s *Server) changedTemplate(t db.Template, body *TemplateDraft) (db.Template, error) {
	if body.TemplateName != nil {
		t.TemplateName = *body.TemplateName
	}
	t.Title = kept(body.Title, t.Title, "")
	t.TID = kept(body.Tid, t.TID, defaultTID)
	t.Tag = kept(body.Tag, t.Tag, "")
	t.Copyright = kept(body.Copyright, t.Copyright, 1)
	t.Source = kept(body.Source, t.Source, "")
	t.Description = kept(body.Desc, t.Description, "")
	t.Dynamic = kept(body.Dynamic, t.Dynamic, "")
	if body.Cover.IsSpecified() {
		cover, err := s.coverSource(kept(body.Cover, t.Cover, ""))
		if err != nil {
			return t, err
		}
		if cover != t.Cover && cover != "" && !strings.Contains(cover, "://") {
			if err := upload.CheckCoverFile(s.dataDir, cover); err != nil {
				return t, invalid("cover", said(err, reason.APIRefused))
			}
		}
		t.Cover = cover
	}
	t.Dolby = kept(body.Dolby, t.Dolby, 0)
	t.Hires = kept(body.Hires, t.Hires, 0)
	t.NoReprint = kept(body.NoReprint, t.NoReprint, 0)
	t.OpenElec = kept(body.OpenElec, t.OpenElec, 0)
	t.HumanType2 = kept(body.HumanType2, t.HumanType2, 0)
	t.CreationStatement = kept(body.CreationStatement, t.CreationStatement, 0)
	if name := valueOr(body.UserCookie, ""); name != "" {
		file, err := s.cookieFile("user_cookie", name)
		if err != nil {
			return t, err
		}
		t.UserCookie = file
	} else if body.UserCookie.IsSpecified() {
		t.UserCookie = ""
	}
	return t, checkTemplate(upload.CheckTemplate(t))
}

// coverSource is where a cover is read from: a file of the data directory, which may be put there later, or an address on the
// web.
func (s *Server) coverSource(cover string) (string, error) {
	cover = strings.TrimSpace(cover)
	if cover == "" {
		return "", nil
	}
	if strings.HasPrefix(cover, "https://") || strings.HasPrefix(cover, "http://") {
		if err := s.outgoing.CheckURL(cover); err != nil {
			return "", invalid("cover", said(err, reason.APIRefused))
		}
		return cover, nil
	}
	return s.dataFile("cover", cover, "cover.jpg")
}

// checkTemplate gives a field that Bilibili would refuse its answer.
func checkTemplate(err error) error {
	var field *upload.FieldError
	if errors.As(err, &field) {
		return invalid(field.Field, said(err, reason.APIRefused).With("text", field.Problem))
	}
	return err
}

func insertion(t db.Template) db.InsertTemplateParams {
	return db.InsertTemplateParams{
		TemplateName: t.TemplateName, Title: t.Title, TID: t.TID, Tag: t.Tag, Copyright: t.Copyright, Source: t.Source, Description: t.Description,
		Dynamic: t.Dynamic, Cover: t.Cover, Dolby: t.Dolby, Hires: t.Hires, NoReprint: t.NoReprint, OpenElec: t.OpenElec, UserCookie: t.UserCookie,
		HumanType2: t.HumanType2, CreationStatement: t.CreationStatement,
	}
}

func updateFields(t db.Template) db.UpdateTemplateParams {
	return db.UpdateTemplateParams{
		ID: t.ID, TemplateName: t.TemplateName, Title: t.Title, TID: t.TID, Tag: t.Tag, Copyright: t.Copyright, Source: t.Source, Description: t.Description,
		Dynamic: t.Dynamic, Cover: t.Cover, Dolby: t.Dolby, Hires: t.Hires, NoReprint: t.NoReprint, OpenElec: t.OpenElec, UserCookie: t.UserCookie,
		HumanType2: t.HumanType2, CreationStatement: t.CreationStatement,
	}
}

func template(t db.Template) Template {
	out := Template{
		ID: t.ID, TemplateName: t.TemplateName, Title: t.Title, Tid: t.TID, Tag: t.Tag, Copyright: t.Copyright, Source: t.Source, Desc: t.Description,
		Dynamic: t.Dynamic, Cover: t.Cover, Dolby: t.Dolby, Hires: t.Hires, NoReprint: t.NoReprint, OpenElec: t.OpenElec, UserCookie: t.UserCookie,
	}
	if t.HumanType2 != 0 {
		out.HumanType2 = &t.HumanType2
	}
	if t.CreationStatement != 0 {
		out.CreationStatement = &t.CreationStatement
	}
	return out
}
