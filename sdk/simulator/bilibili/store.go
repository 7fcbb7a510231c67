package bilibili

import (
	"bytes"
	"fmt"
	"path"
)

// Store puts a complete file in place as if the account had uploaded it, for tests that begin with the submission.
func (s *Server) Store(mid int64, line, fileName string, content []byte) (Object, error) {
	p, err := s.receive(bytes.NewReader(content))
	if err != nil {
		return Object{}, fmt.Errorf("store %s: %w", fileName, err)
	}
	var out Object
	s.update(func(st *state) {
		now, size := s.now(), int64(len(content))
		key := "n" + now.UTC().Format("060102") + (line + "xx")[:2] + randomKey(22)
		stored := &upload{id: randomHex(16), parts: map[int]*part{1: p}, puts: map[int]int{1: 1}}
		o := &object{
			mid: mid, line: line, name: key, path: "/ugc/" + key + path.Ext(fileName), bucket: "ugc", fileName: fileName,
			profile: "ugcupos/bup", size: size, chunkSize: max(size, s.options.ChunkSize), bizID: st.nextBiz, granted: now,
			uploads: map[string]*upload{stored.id: stored}, completed: stored,
		}
		st.nextBiz++
		st.objects = append(st.objects, o)
		st.byPath[o.path], st.byName[o.name] = o, o
		out = o.snapshot()
	})
	return out, nil
}
