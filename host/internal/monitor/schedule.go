package monitor

// schedule is a heap (container/heap) of rooms by the time they are due.
type schedule []*watched

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due.Before(s[j].due) }

func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

// Push is called by container/heap only.
func (s *schedule) Push(x any) {
	room := x.(*watched)
	room.index = len(*s)
	*s = append(*s, room)
}

// Pop is called by container/heap only.
func (s *schedule) Pop() any {
	last := len(*s) - 1
	room := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	room.index = -1
	return room
}
