package reason

// The codes of hook steps.
const (
	HookHeld   = "hook.held"
	HookFailed = "hook.failed"
)

// hookSteps are the codes of hook steps.
var hookSteps = catalogue{
	HookHeld:   {"{cause}: held; after mending it, POST /api/v1/hooks/{id}/retry", "{cause}：已搁置；排除问题后请 POST /api/v1/hooks/{id}/retry", Action{Retry, "hook"}},
	HookFailed: {"{stage}: step {step} ({action}): {cause}", "{stage}：第 {step} 步（{action}）：{cause}", Action{Retry, "hook"}},
}
