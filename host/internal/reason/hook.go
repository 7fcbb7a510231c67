package reason

// The codes of hook steps.
const (
	HookHeld = "hook.held"
)

// hookSteps are the codes of hook steps.
var hookSteps = catalogue{
	HookHeld: {"{cause}: held; after mending it, POST /api/v1/hooks/{id}/retry", "{cause}：已搁置；排除问题后请 POST /api/v1/hooks/{id}/retry", Action{Retry, "hook"}},
}
