package process

import (
	"os/exec"
	"testing"
	"time"
)

// patience bounds every wait of a test; nothing is measured against it.
const patience = 30 * time.Second

// stranger is a process that an earlier host started.
func stranger(t *testing.T) *exec.Cmd {
	t.Helper()
	command := exec.Command("sleep", "600")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	return command
}

func TestEndOfAnAdoptedProcessIsNoticed(t *testing.T) {
	command := stranger(t)
	adopted := Adopt(command.Process.Pid)
	defer adopted.LetGo()
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-adopted.Exited(): // before anybody has waited for it: a zombie is gone, too
	case <-time.After(patience):
		t.Fatal("nobody noticed")
	}
	if StartOf(command.Process.Pid) != "" {
		t.Error("a zombie counts as a process")
	}
}

func TestProcessThatIsLetGoOfLivesOn(t *testing.T) {
	command := stranger(t)
	adopted := Adopt(command.Process.Pid)
	adopted.LetGo()
	adopted.LetGo()
	if err := adopted.Wait(t.Context()); err != nil { // returns
		t.Error(err)
	}
	select {
	case <-adopted.Exited():
		t.Error("it counts as gone")
	default:
	}
	if StartOf(command.Process.Pid) == "" {
		t.Error("it is gone")
	}
}
