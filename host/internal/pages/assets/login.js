"use strict";

const form = document.querySelector("form");
const message = form.querySelector(".error");

async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return { ok: response.ok, body: await response.json() };
}

// The server has checked next; a path that leads elsewhere all the same is not followed.
function destination(next) {
  const target = new URL(next || "/", location.origin);
  return target.origin === location.origin ? target.href : "/";
}

function explain(answer) {
  const texts = {
    unauthenticated: form.dataset.wrong,
    too_many_attempts: form.dataset.tooMany,
    setup_token_required: form.dataset.tokenWrong,
  };
  return texts[answer.code] || answer.error;
}

async function submit() {
  const fields = Object.fromEntries(new FormData(form));
  if (form.dataset.first === "true") {
    const registered = await post("/api/v1/users/register", fields);
    if (registered.body.code === "unauthenticated") {
      location.reload(); // somebody else was first
    }
    if (!registered.ok) {
      return explain(registered.body);
    }
    form.dataset.first = "false";
  }
  const { username, password } = fields;
  const answer = await post("/api/v1/users/login", { username, password, next: form.dataset.next });
  if (!answer.ok) {
    return explain(answer.body);
  }
  location.assign(destination(answer.body.next));
  return "";
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    message.textContent = await submit();
  } catch {
    message.textContent = form.dataset.unreachable;
  }
  message.hidden = message.textContent === "";
  button.disabled = false;
});
