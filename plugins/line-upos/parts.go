package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxParts bounds the parts of one file. The largest file that Bilibili is known to take has about 8,000.
const maxParts = 100_000

// partSet is which parts of a file are acknowledged. Parts count from 1.
type partSet struct {
	has []bool
	n   int
}

func newPartSet(count int) *partSet { return &partSet{has: make([]bool, count)} }

func (s *partSet) count() int { return len(s.has) }

func (s *partSet) contains(part int) bool { return s.has[part-1] }

func (s *partSet) add(part int) {
	if !s.has[part-1] {
		s.has[part-1] = true
		s.n++
	}
}

func (s *partSet) full() bool { return s.n == len(s.has) }

// missing returns the parts that are not in the set, ascending.
func (s *partSet) missing() []int {
	parts := make([]int, 0, len(s.has)-s.n)
	for i, has := range s.has {
		if !has {
			parts = append(parts, i+1)
		}
	}
	return parts
}

// String writes ranges, as in "1-5,7": thousands of parts take a few bytes.
func (s *partSet) String() string {
	var b strings.Builder
	for first := 1; first <= len(s.has); first++ {
		if !s.contains(first) {
			continue
		}
		last := first
		for last < len(s.has) && s.contains(last+1) {
			last++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(first))
		if last > first {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(last))
		}
		first = last
	}
	return b.String()
}

// parsePartSet reads what String wrote about a file of count parts.
func parsePartSet(text string, count int) (*partSet, error) {
	s := newPartSet(count)
	if text == "" {
		return s, nil
	}
	before := 0
	for span := range strings.SplitSeq(text, ",") {
		first, last, err := parseSpan(span)
		if err != nil {
			return nil, fmt.Errorf("parts %q: %w", clip(span, 20), err)
		}
		if first <= before || last < first || last > count {
			return nil, fmt.Errorf("parts %q are out of order or not within 1 to %d", clip(span, 20), count)
		}
		for part := first; part <= last; part++ {
			s.add(part)
		}
		before = last
	}
	return s, nil
}

func parseSpan(span string) (first, last int, err error) {
	from, to, isRange := strings.Cut(span, "-")
	if first, err = strconv.Atoi(from); err != nil {
		return 0, 0, errors.New("not a number")
	}
	if !isRange {
		return first, first, nil
	}
	if last, err = strconv.Atoi(to); err != nil {
		return 0, 0, errors.New("not a number")
	}
	return first, last, nil
}
