package folders

// Writers is what is known of those who may be writing a file.
type Writers int

// What can be known.
const (
	WritersUnknown Writers = iota // a network disk, for one: nobody here sees who writes on another machine
	NoWriter
	SomeWriter
)
