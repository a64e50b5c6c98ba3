// Requests to the server, and their errors as messages.

export class Problem extends Error {
  constructor(message, status = 0, code = "", state = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.state = state;
  }
}

let csrf = "";

/** Fetch the session; later requests carry its CSRF secret. */
export async function session() {
  const found = await request("/api/session", {});
  csrf = found.csrf;
  return found;
}

/** Return a function that sends requests.
 *
 * `json` is serialised, `body` is sent unchanged (a File or Blob). Throws a Problem with a message for the user. */
export function makeApi(words) {
  return async function api(path, options = {}) {
    try {
      return await request(path, options);
    } catch (problem) {
      if (problem.code !== "csrf") throw explained(problem, words);
      // The studio was restarted since the page was loaded: fetch the new secret and repeat.
      try {
        await session();
        return await request(path, options);
      } catch (again) {
        throw explained(again, words);
      }
    }
  };
}

async function request(path, { method, json, body, signal, keepalive }) {
  const chosen = method ?? (json !== undefined || body !== undefined ? "POST" : "GET");
  const headers = { Accept: "application/json" };
  if (chosen !== "GET") headers["X-Studio-CSRF"] = csrf;
  if (json !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method: chosen, headers, body: json !== undefined ? JSON.stringify(json) : body,
      credentials: "same-origin", cache: "no-store", redirect: "error", signal, keepalive,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("", 0, "offline");
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new Problem(answer?.message ?? "", response.status, answer?.code ?? "", answer?.state ?? null);
  return answer;
}

function explained(problem, words) {
  if (!(problem instanceof Problem)) return problem;
  const known = problem.code ? words(`problem_${problem.code}`) : "";
  problem.message = known || problem.message || words("problem_unknown", { status: problem.status });
  return problem;
}
